"""The page on the assembly language names every generic mnemonic and directive, and its example works."""

import re
from pathlib import Path

from vac.assembler.assemble import assemble_file
from vac.assembler.directives import DIRECTIVES
from vac.assembler.generic import GENERIC
from vac.image.verifier import verify

PAGE = (Path(__file__).parents[2] / "docs" / "assembler.md").read_text(encoding="utf-8")


def test_every_generic_mnemonic_and_directive_is_explained() -> None:
    explained = set(re.findall(r"[.\w]+", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))
    assert explained >= GENERIC.keys()
    assert explained >= DIRECTIVES.keys()


def test_the_example_assembles_and_is_verified(tmp_path: Path) -> None:
    (example, *_) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "console.vasm").write_text(
        ".func print\n.local pointer, left, byte\npop left; pop pointer\n"
        "@next: ld8up byte, pointer; push byte; out CONSOLE_DATA; djnz left, @next\nret\n"
    )
    (tmp_path / "demo.vasm").write_text(example)
    image = assemble_file(tmp_path / "demo.vasm")
    assert image.entry != 0
    assert verify(image).is_verified
