"""A package and an input determine a run: on every engine, in every process, wherever the package has been."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vac.assembler.assemble import assemble_file
from vac.package.pack import Description, pack, write_archive, write_files
from vac.package.package import Package

DEMO = Path(__file__).parents[2] / "firmware" / "demos" / "sort_lines.vasm"
RUN = """
import sys
from blake3 import blake3
from vac.commitment.state_root import StateCommitment
from vac.devices.registry import DeviceContext
from vac.engines.registry import create_machine
from vac.package import Package
from vac.package.package_session import create_host

package = Package.open(sys.argv[1])
machine = create_machine(sys.argv[2])
out = bytearray()
host = create_host(package, machine, context=DeviceContext(console_source=b"b\\na\\nc\\n", console_sink=out.extend))
host.run(1 << 20)
commitment = StateCommitment()
for key, leaf in sorted((key, host.memory.leaf(*key)) for key in package.loaded.pages):
    commitment.put(*key, leaf)
print(bytes(out), blake3(machine.drain_beams()).hexdigest(), commitment.take(machine).hex(), package.root.hex())
"""


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same package as one file, as files, and moved back and forth."""
    folder = tmp_path_factory.mktemp("forms")
    package = pack(assemble_file(DEMO), Description("sort", caps=("console",)))
    write_archive(package, folder / "sort.vac")
    (folder / "files").mkdir()
    write_files(Package.open(folder / "sort.vac"), folder / "files")
    write_archive(Package.open(folder / "files"), folder / "again.vac")
    return {"one file": folder / "sort.vac", "files": folder / "files", "moved": folder / "again.vac"}


def test_every_run_is_the_same(forms: dict[str, Path]) -> None:
    found: set[str] = set()
    runs = (("one file", "golden", "0"), ("files", "fast", "1"), ("moved", "jit", "random"), ("files", "rtl", "2"))
    for form, engine, seed in runs:
        command = [sys.executable, "-c", RUN, str(forms[form]), engine]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        found.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    (said,) = found
    assert said.startswith(r"b'a\nb\nc\n'")
