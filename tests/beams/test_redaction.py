"""Redaction: what has to go goes, what only looks like it stays, and the report says how much."""

from __future__ import annotations

import ipaddress
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vac.beams.errors import BadQuery
from vac.beams.export import export_jsonl
from vac.beams.jsonl_store import JsonlStore
from vac.beams.opening import open_store
from vac.beams.redaction.patterns import PATTERNS, luhn, mod_97, redact_text
from vac.beams.redaction.policy import REMOVED, Policy, Redactor
from vac.contracts.beam_event import BeamEvent, beam_id
from vac.contracts.reader import read_contract
from vac.isa.beam import Beam

ALL = list(PATTERNS)
words = st.lists(
    st.sampled_from(("hello", "from", "x", "ok?", "(a)", "é", "12", "7", ",", "0x40", "v1.2")), max_size=4
).map(" ".join)


def with_check_digit(digits: str) -> str:
    return next(digits + check for check in string.digits if luhn(digits + check))


@st.composite
def cards(draw: st.DrawFn) -> str:
    number = with_check_digit(draw(st.text(string.digits, min_size=12, max_size=18)))
    separator = draw(st.sampled_from(("", " ", "-")))
    size = draw(st.integers(3, 6))
    return separator.join(number[start : start + size] for start in range(0, len(number), size))


@st.composite
def ibans(draw: st.DrawFn) -> str:
    country = draw(st.text(string.ascii_uppercase, min_size=2, max_size=2))
    rest = draw(st.text(string.ascii_uppercase + string.digits, min_size=11, max_size=30))
    code = next(f"{country}{check:02d}{rest}" for check in range(2, 99) if mod_97(f"{country}{check:02d}{rest}"))
    separator = draw(st.sampled_from(("", " ")))
    return separator.join(code[start : start + 4] for start in range(0, len(code), 4))


atoms = st.text(string.ascii_letters + string.digits + "_+-", min_size=1, max_size=8)
names = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
emails = st.builds(
    lambda local, domain, top: f"{'.'.join(local)}@{'.'.join(domain)}.{top}",
    st.lists(atoms, min_size=1, max_size=2),
    st.lists(names, min_size=1, max_size=2),
    st.text(string.ascii_lowercase, min_size=2, max_size=6),
)
addresses = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).filter(lambda address: int(address) > 0).map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded),
)
FINDS = {"card": cards(), "email": emails, "iban": ibans(), "ip": addresses}


@pytest.mark.parametrize("name", ALL)
def test_what_has_to_go_goes_wherever_it_stands(name: str) -> None:
    @given(words, FINDS[name], words)
    def check(before: str, found: str, after: str) -> None:
        # A neighbour may lengthen a number or a code into another one that is right too.
        before, after = before.rstrip("0123456789 v.x"), after.lstrip("0123456789 v.x")
        text, counts = redact_text(f"{before} is {found}; {after}", [name])
        assert found not in text and f"[{name}]" in text
        assert text == f"{before} is [{name}]; {after}" and counts == {name: 1}

    check()


@pytest.mark.parametrize("name", ["card", "iban"])
def test_a_wrong_check_digit_stays(name: str) -> None:
    @given(FINDS[name], st.data())
    def check(found: str, data: st.DataObject) -> None:
        places = [place for place, character in enumerate(found) if character.isdigit()]
        place = data.draw(st.sampled_from(places))
        digit = data.draw(st.sampled_from([d for d in string.digits if d != found[place]]))
        changed = found[:place] + digit + found[place + 1 :]
        plain = "".join(character for character in changed if character.isalnum())
        if name == "card":
            assume(not any(luhn(plain[a : a + n]) for n in range(13, 20) for a in range(len(plain) - n + 1)))
        else:
            assume(not any(mod_97(plain[:n]) for n in range(15, len(plain) + 1)))
        assert redact_text(changed, [name]) == (changed, {})

    check()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111 1111 1111 1111", "[card]"),
        ("card 4111-1111-1111-1111, 5500005555555559.", "card [card], [card]."),
        ("4111111111111112", "4111111111111112"),
        ("41111111111111110000000", "41111111111111110000000"),
        ("GB82 WEST 1234 5698 7654 32", "[iban]"),
        ("DE89370400440532013000 please", "[iban] please"),
        ("pay GB82 WEST 1234 5698 7654 32 TODAY", "pay [iban] TODAY"),
        ("GB82 WEST 1234 5698 7654 33", "GB82 WEST 1234 5698 7654 33"),
        ("GB82 WEST 1234 5698 7654 33 GB82 WEST 1234 5698 7654 32", "GB82 WEST 1234 5698 7654 33 [iban]"),
        ("ann.b+c@mail.example.org!", "[email]!"),
        ("ann@localhost and @x.org", "ann@localhost and @x.org"),
        ("ip:192.168.0.1:80 v1.2.3.4.5 300.1.1.1", "ip:[ip]:80 v1.2.3.4.5 300.1.1.1"),
        ("::1, fe80::1%eth0 ::ffff:1.2.3.4.", "[ip], [ip]%eth0 [ip]."),
        ("12:34:56 a:b :: std::vector", "12:34:56 a:b :: std::vector"),
    ],
)
def test_texts_that_people_write(text: str, expected: str) -> None:
    assert redact_text(text, ALL)[0] == expected


@given(st.text(max_size=60))
def test_any_text_is_searched_without_fail_and_once_is_enough(text: str) -> None:
    redacted, _ = redact_text(text, ALL)
    assert redact_text(redacted, ALL)[0] == redacted


@given(st.ip_addresses(v=4), st.integers(0, 99))
def test_addresses_inside_longer_numbers_stay(address: ipaddress.IPv4Address, more: int) -> None:
    text = f"{address}.{more}"
    assert redact_text(text, ["ip"]) == (text, {})


def event(**changed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "version": 2, "cell_id": "sheet:1", "sheet_run_id": "r", "container_id": "", "stage": "ingest", "token": "⊗",
        "result": {}, "timestamp": "2026-01-02T03:04:05.000000Z", "tick": 7, **changed,
    }  # fmt: skip
    return {"beam_id": beam_id(fields["cell_id"], fields["stage"], fields["tick"]), **fields}


def test_events_stay_contracts_and_the_report_counts() -> None:
    policy = Policy.read(
        b'{"version": 1, "fields": ["source", "result.name", "container_id"], "patterns": ["email", "card"],'
        b' "labels": [{"any_of": [1], "remove": "event"}, {"any_of": [0, 2], "remove": "value"}]}'
    )
    redactor = Redactor(policy)
    written = event(
        cell_id="of ann@example.org", container_id="box", source="user", lineage=["x ann@example.org"],
        result={"name": "Ann", "deep": [{"ann@example.org": "4111111111111111", "n": 4111111111111111}], "labels": 4,
                "value": 5},
    )  # fmt: skip
    found = redactor.event(written)
    assert found is not None
    kept = read_contract(BeamEvent, found)
    assert kept.cell_id == "of [email]" and kept.beam_id == "beam_of [email]_ingest_7"
    assert kept.container_id == REMOVED and kept.source is None and kept.lineage == ["x [email]"]
    assert kept.result == {"deep": [{"[email]": "[card]", "n": 4111111111111111}], "labels": 4}
    assert redactor.event(event(result={"labels": 2, "value": 5})) is None
    assert redactor.event(event(result={"labels": 8, "value": 5})) == event(result={"labels": 8, "value": 5})
    report = redactor.report.to_json()
    assert report == {
        "events": 3,
        "events_removed": 1,
        "fields": {"container_id": 1, "result.name": 1, "source": 1},
        "labels": {"1: event": 1, "2: value": 1},
        "patterns": {
            "card": {"result.deep": 1},
            "email": {"cell_id": 1, "lineage": 1, "result.deep": 1},
        },
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"version": 2}',
        b'{"fields": ["tick"]}',
        b'{"fields": ["result."]}',
        b'{"labels": [{"any_of": [16]}]}',
        b'{"labels": [{"any_of": []}]}',
        b'{"patterns": ["phone"]}',
        b'{"more": 1}',
    ],
)
def test_a_wrong_policy_is_refused(content: bytes) -> None:
    with pytest.raises(BadQuery, match="no redaction policy"):
        Policy.read(content)


def test_an_export_is_a_store_and_holds_nothing_of_what_went(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    with open_store(tmp_path / "store") as store:
        store.add_run("r", "of ann@example.org", moment)
        beams = [Beam(4 * at, 0x10, 0, at % 4, 1000 + at, 0) for at in range(50)]
        store.ingest("r", 0, b"".join(beam.pack() for beam in beams))
        fields = event(tick=50, result={"mail": "ann@example.org"})
        store.persist_beam_events([read_contract(BeamEvent, fields)])
        redactor = Redactor(Policy.read(b'{"labels": [{"any_of": [1]}], "patterns": ["email"]}'))
        with (tmp_path / "out.jsonl").open("wb") as file:
            assert export_jsonl(store, ["r"], file, redactor) == 27
        with (tmp_path / "all.jsonl").open("wb") as file:
            assert export_jsonl(store, ["r"], file) == 51
        kept = [batch.rows for batch in store.batches("r")]
    assert b"ann@" not in (tmp_path / "out.jsonl").read_bytes()
    assert redactor.report.removed == 24 and redactor.report.patterns["email", "container_id"] == 27
    with JsonlStore(tmp_path / "out.jsonl", writable=False) as out:
        assert out.run("r").events == 27 and out.run("r").container == "of [email]"
        assert all(beam.result.get("labels", 0) in (0, 1) for beam in out.beam_events("r", out.range("r")))
        assert out.beam_events("r", out.range("r"))[-1].result == {"mail": "[email]"}
    with JsonlStore(tmp_path / "all.jsonl", writable=False) as out:
        assert [batch.rows.tolist() for batch in out.batches("r")] == [rows.tolist() for rows in kept]
    assert orjson.loads((tmp_path / "all.jsonl").read_bytes().splitlines()[1])["run"] == "r"


@pytest.mark.parametrize("before", [".", "..", "a..", "see:", "é"])
def test_an_address_goes_whatever_stands_before_it(before: str) -> None:
    assert "jo@example" not in redact_text(f"{before}jo@example.org", ["email"])[0]
