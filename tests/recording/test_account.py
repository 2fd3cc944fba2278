"""Accounts of recordings: what came in and went out, redacted."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recording.runs import SEGMENT_TICKS, TEXT, finished, fresh, program, recorded
from typer.testing import CliRunner

from vac.assembler.assemble import assemble
from vac.beams.opening import open_store
from vac.beams.redaction.patterns import PATTERNS, find_in_bytes, redact_text
from vac.beams.redaction.policy import Policy, Redactor
from vac.cli import app
from vac.package.pack import Description, pack
from vac.recording.account import write_account
from vac.recording.program import Program
from vac.recording.recording import Recording
from vac.recording.start import start_recording

CARD, EMAIL = "4111 1111 1111 1111", "jo@example.org"
# Bytes one by one in, and three at a time out.
BY_BYTES = """
.memory 4096
.frame 3
again:  in 0
        set0
        beqi    l0, end, -1
        st8     l1, l0
        addi    l1, l1, 1
        bnei    l1, again, 3
        lit 0; lit 0; lit 3; sys 1; drop
        li      l1, 0
        jmp     again
end:    lit 0; lit 0; get1; sys 1; drop
        halt
"""


def account(recording: Recording, redactor: Redactor | None = None, engine: str = "fast") -> list[dict[str, Any]]:
    file = io.BytesIO()
    count = write_account(recording, fresh(engine), file, redactor)
    events = [json.loads(line) for line in file.getvalue().splitlines()[2:]]
    assert len(events) == count
    return events


def text_of(events: list[dict[str, Any]], stage: str) -> str:
    return "".join(event["result"].get("data", "") for event in events if event["stage"] == stage)


def test_it_holds_what_came_and_went_and_is_a_store(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "run")
    with (tmp_path / "account.jsonl").open("wb") as file:
        write_account(recording, fresh(), file)
    events = account(recording)
    assert text_of(events, "input") == text_of(events, "output") == TEXT.decode()
    tokens = [event["token"] for event in events if event["stage"] != "segment"]
    assert len(tokens) == len(recording.entries) and {"read", "write", "sleep", "entropy_probe", "alloc", "in"} <= {
        *tokens
    }
    ends = [event["result"] for event in events if event["token"] == "segment"]
    assert [(row["root"], row["log"]) for row in ends] == [(s.root.hex(), s.chain.hex()) for s in recording.segments]
    assert recording.about.end and events[-1]["result"]["root"] == recording.about.end.root
    with open_store(tmp_path / "account.jsonl", writable=False) as store:
        assert store.run(recording.about.id).events == len(events)
        assert [e.tick for e in store.get_lineage_for_cell("dev:0x10")] == [
            event["tick"] for event in events if event["cell_id"] == "dev:0x10"
        ]


@pytest.mark.parametrize("engine", ["golden", "jit"])
def test_every_engine_gives_the_same(tmp_path: Path, engine: str) -> None:
    recording = recorded(tmp_path / "run", b"a short text")
    assert account(recording, engine=engine) == account(recording)


def without(data: bytes, found: list[tuple[int, int, str]]) -> bytes:
    pieces, end = b"", 0
    for start, stop, name in found:
        assert start >= end
        pieces += data[end:start] + f"[{name}]".encode()
        end = stop
    return pieces + data[end:]


PIECES = st.lists(
    st.one_of(st.sampled_from([CARD, EMAIL, " ", "-", "4", "12.0.0.1"]), st.text("ab1 .@ü", max_size=5)), max_size=8
).map("".join)


@settings(max_examples=40)
@given(PIECES, st.booleans())
def test_a_find_is_taken_out_however_it_was_cut_up(
    tmp_path_factory: pytest.TempPathFactory, text: str, by_bytes: bool
) -> None:
    folder = tmp_path_factory.mktemp("account")
    image = assemble(BY_BYTES) if by_bytes else None
    recorder = start_recording(folder / "run", program(text.encode(), image), fresh, "fast", 1 << 12)
    redactor = Redactor(Policy(patterns=["card", "email", "ip"]))
    events = account(finished(recorder), redactor)
    found = find_in_bytes(text.encode(), redactor.patterns)
    # A letter that was cut up is two escapes.
    expected = without(text.encode(), found).replace(b"\xc3\xbc", rb"\xc3\xbc").decode()
    for stage in ("input", "output"):
        assert text_of(events, stage).replace("ü", r"\xc3\xbc") == expected
    assert sum(redactor.report.patterns.values()) == 2 * len(found)
    values = bytes(e["result"]["value"] for e in events if e["cell_id"] == "dev:0x0" and "value" in e["result"])
    assert values == b"", "what was taken out of the data stands in the value"


@given(PIECES)
def test_bytes_are_searched_as_texts_are(text: str) -> None:
    names = list(PATTERNS)
    data = text.encode()
    found = find_in_bytes(data, names)
    expected, counts = redact_text(data.decode("latin-1"), names)
    assert without(data, found).decode("latin-1") == expected
    assert {name: [n for _, _, n in found].count(name) for name in counts} == counts


LABELLED = """
.labels
.memory 4096
.frame 2
        li l0, 20
        li l1, 22
        push l0; push l1; join; set0            # label 0 is on l0 now
        push l1; out 0
        push l0; out 0
        lit 8; get0; swap; set1
        st8 l1, l0                              # and on the first leaf
        lit 0; lit 8; lit 1; sys 1; drop
        halt
"""


@pytest.mark.parametrize(("remove", "left"), [("event", 1), ("value", 3)])
def test_labelled_output_goes(tmp_path: Path, remove: str, left: int) -> None:
    recording = recorded(tmp_path / "run", b"", image=assemble(LABELLED))
    outputs = [event for event in account(recording) if event["stage"] == "output"]
    assert [event["result"].get("labels", 0) for event in outputs] == [0, 1, 1]
    redactor = Redactor(Policy.read(json.dumps({"labels": [{"any_of": [0], "remove": remove}]}).encode()))
    outputs = [event for event in account(recording, redactor) if event["stage"] == "output"]
    assert len(outputs) == left and sum("data" in event["result"] for event in outputs) == 1
    assert redactor.report.to_json()["labels"] == {f"0: {remove}": 2}


def test_what_the_policy_of_a_package_keeps_back_stays(tmp_path: Path) -> None:
    law = """permit(principal, action, resource);
        @id("secrets-stay") forbid(principal, action == Action::"export", resource)
        when { context.labels.contains("secret") };"""
    package = pack(assemble(LABELLED), Description("mine", ["console"], policy=law, labels={"secret": 0}))
    given = Program(package.image, package)
    finished(start_recording(tmp_path / "run", given, fresh, "fast", SEGMENT_TICKS))
    code, text = run("export", tmp_path / "run", "-o", tmp_path / "out.jsonl")
    assert code == 0 and "2 events of" in text and "denied: secrets-stay" in text
    events = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()[2:]]
    assert [event["result"].get("labels", 0) for event in events if event["stage"] == "output"] == [0]


def run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.output


def test_the_command(tmp_path: Path) -> None:
    recorded(tmp_path / "run", f"card {CARD}, mail {EMAIL}.".encode())
    policy, out, report = tmp_path / "policy.json", tmp_path / "out.jsonl", tmp_path / "report.json"
    policy.write_text('{"fields": ["result.root"], "patterns": ["card"]}')
    code, text = run("export", tmp_path / "run", "-o", out, "--redact", policy, "--report", report)
    assert (code, json.loads(report.read_bytes())["patterns"]) == (0, {"card": {"result.data": 2}}), text
    assert (
        CARD not in out.read_text() and "root" not in out.read_text() and report.read_text().count("result.root") == 1
    )
    written = out.read_bytes()
    for arguments, message in [
        (("-o", "a.vacrun", "--redact", policy), "cannot be replayed: with --redact name a file that ends in .jsonl"),
        (("-o", out, "--report", report), "--report needs --redact"),
        (("-o", out, "--checkpoints"), "an account has none"),
        (("-o", out, "--redact", tmp_path / "none"), "cannot read"),
        (("-o", out, "--redact", out), "no redaction policy"),
        (("-o", tmp_path / "no" / "x.jsonl"), "cannot write"),
    ]:
        code, text = run("export", tmp_path / "run", *arguments)
        assert code == 2 and message in text, text
    assert out.read_bytes() == written and not list(tmp_path.glob("*.part"))
