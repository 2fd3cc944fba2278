"""Contracts through JSON and back, older versions, and what is refused."""

import string
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.contracts.beam_event import BeamEvent, beam_id
from vac.contracts.collapse_trace import CollapseTrace, DreamPack, Hologram, SignatureBlock
from vac.contracts.contract import Contract
from vac.contracts.cost_estimate import CostEstimateContext
from vac.contracts.cpu_instruction import CpuInstruction
from vac.contracts.dna_mutation import DnaMutation, GlyphState, MutationMetadata
from vac.contracts.entanglement import EntanglementLink, EntanglementMap
from vac.contracts.errors import ContractError, ContractInvalid, ContractUnknown, ContractVersionError
from vac.contracts.glyph_execution import CostDetail, GlyphExecution, GlyphPayload
from vac.contracts.reader import CONTRACTS, read_contract, read_event
from vac.contracts.sqi_score import SqiScore
from vac.contracts.wave_state import WaveState

texts = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
words = st.sampled_from(("cpu", "ingest", "collapse", "container", "fpga", "photon"))
numbers = st.floats(allow_nan=False, allow_infinity=False)
scores = st.floats(0, 1)
ticks = st.integers(0, (1 << 63) - 1)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, json_values, max_size=3)
hashes = st.text(string.hexdigits, min_size=1, max_size=16)
eids = st.builds("eid::{}::{}".format, names, hashes)


@st.composite
def beam_events(draw: st.DrawFn) -> BeamEvent:
    cell, stage, tick = draw(names), draw(words), draw(ticks)
    return BeamEvent(
        beam_id=beam_id(cell, stage, tick),
        cell_id=cell,
        sheet_run_id=draw(names),
        container_id=draw(texts),
        eid=draw(st.none() | eids),
        stage=stage,
        token=draw(names),
        result=draw(objects),
        timestamp=draw(moments),
        tick=tick,
        source=draw(st.none() | texts),
        lineage=draw(st.none() | st.lists(texts, max_size=2)),
        drift=draw(st.none() | numbers),
        qscore=draw(st.none() | scores),
        sqi_after=draw(st.none() | scores),
    )


collapse_traces = st.builds(
    CollapseTrace,
    expression=names,
    output=json_values,
    adapter=words,
    identity=texts,
    timestamp=moments,
    hologram=st.builds(
        Hologram,
        ghx_data=json_values,
        trigger_metadata=json_values,
        signature_block=st.builds(SignatureBlock, ghx_projection_id=texts, vault_snapshot_id=texts, qglyph_id=texts),
        dream_pack=st.builds(
            DreamPack, scroll_tree=objects, entropy_state=objects, memory_tags=st.lists(json_values, max_size=2)
        ),
    ),
)
glyph_states = st.builds(lambda glyph, more: GlyphState(**{**more, "glyph": glyph}), names, objects)
contracts = st.one_of(
    beam_events(),
    st.builds(EntanglementLink, eid=eids, cells=st.lists(names, max_size=3)),
    st.builds(
        lambda links: EntanglementMap(**links),
        st.dictionaries(eids, st.lists(names, max_size=3), min_size=1, max_size=3),
    ),
    collapse_traces,
    st.builds(
        GlyphExecution,
        payload=st.builds(
            GlyphPayload,
            glyph=names,
            action=names,
            source=words,
            timestamp=st.floats(0, 1e12),
            cost=numbers,
            detail=st.builds(CostDetail, energy=numbers, ethics_risk=numbers, delay=numbers, opportunity_loss=numbers),
        ),
    ),
    st.builds(
        SqiScore,
        timestamp=moments,
        mutation_id=names,
        container_id=texts,
        goal_match_score=scores,
        rewrite_success_prob=scores,
        entropy_delta=numbers,
    ),
    st.builds(
        DnaMutation,
        mutation_id=st.uuids(),
        timestamp=moments,
        original=glyph_states,
        mutated=glyph_states,
        metadata=st.builds(
            MutationMetadata,
            reason=st.sampled_from(("fusion", "repair")),
            entropy_delta=numbers,
            rewrite_success_prob=scores,
            container_id=texts,
        ),
    ),
    st.builds(
        WaveState,
        operation=names,
        args=st.lists(json_values, max_size=2),
        result=json_values,
        drift=numbers,
        qscore=scores,
        entropy=numbers,
        lineage=st.lists(texts, max_size=2),
        collapse_trace=st.none() | collapse_traces,
    ),
    st.builds(
        CpuInstruction,
        operation=names,
        args=st.lists(json_values, max_size=2),
        container_id=texts,
        registers=objects,
        ip=st.integers(0, 1 << 40),
    ),
    st.builds(CostEstimateContext, memory=objects, tick=ticks, metadata=objects),
)

NAMED_FIELDS = {
    "BeamEvent": "beam_id cell_id sheet_run_id container_id eid stage token result timestamp "
    "source lineage drift qscore sqi_after",
    "CollapseTrace": "type expression output adapter identity timestamp hologram",
    "glyph_execution": "type payload",
    "sqi_score": "type timestamp mutation_id container_id goal_match_score rewrite_success_prob entropy_delta",
    "DNA mutation": "mutation_id timestamp original mutated metadata",
    "WaveState": "operation args result drift qscore entropy lineage collapse_trace",
    "cpu_instruction": "event operation args container_id registers ip",
    "cost estimate context": "memory tick metadata",
}


def beam_fields(**changed: Any) -> dict[str, Any]:
    fields = {
        "version": 2,
        "beam_id": "beam_mem:1:0x40_cpu_7",
        "cell_id": "mem:1:0x40",
        "sheet_run_id": "r",
        "container_id": "",
        "stage": "cpu",
        "token": "ld32",
        "result": {"value": 3},
        "timestamp": "2026-01-02T03:04:05Z",
        "tick": 7,
    }
    return {**fields, **changed}


@given(contracts)
def test_json_and_back_is_the_same(contract: Contract) -> None:
    assert read_event(contract.to_json()) == contract
    assert read_contract(type(contract), contract.to_fields()) == contract


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.NAME)
def test_fields_have_their_names(contract: type[Contract]) -> None:
    named = NAMED_FIELDS.get(contract.NAME, "").split()
    assert {"version", *named} <= contract.model_fields.keys()


def test_parts_have_their_names() -> None:
    assert list(CostDetail.model_fields) == ["energy", "ethics_risk", "delay", "opportunity_loss"]
    assert list(GlyphPayload.model_fields) == ["glyph", "action", "source", "timestamp", "cost", "detail"]
    assert list(Hologram.model_fields) == ["ghx_data", "trigger_metadata", "signature_block", "dream_pack"]
    assert list(SignatureBlock.model_fields) == ["ghx_projection_id", "vault_snapshot_id", "qglyph_id"]
    assert list(DreamPack.model_fields) == ["scroll_tree", "entropy_state", "memory_tags"]
    assert list(MutationMetadata.model_fields) == ["reason", "entropy_delta", "rewrite_success_prob", "container_id"]


@pytest.mark.parametrize("version", [{}, {"version": 1}])
def test_a_beam_event_of_version_1_gains_its_tick(version: dict[str, int]) -> None:
    fields = beam_fields()
    del fields["version"], fields["tick"]
    event = read_event({**version, **fields})
    assert isinstance(event, BeamEvent) and event.tick == 7 and event.version == 2


def test_version_1_without_a_tick_in_its_name_is_refused() -> None:
    with pytest.raises(ContractInvalid, match="does not end with a tick"):
        read_event({"beam_id": "beam_a_cpu_now", "cell_id": "a"})


@pytest.mark.parametrize("version", [3, 0, -1, "2", 2.0, True, None, [1]])
def test_other_versions_are_refused_by_name(version: object) -> None:
    with pytest.raises(ContractVersionError, match="knows versions 1 to 2") as raised:
        read_event(beam_fields(version=version))
    assert raised.value.version is version or raised.value.version == version


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"beam_id": "beam_other_cpu_7"}, "beam_id is"),
        ({"tick": -1}, "tick:"),
        ({"tick": "7"}, "tick:"),
        ({"tick": True}, "tick:"),
        ({"stage": "CPU"}, "stage:"),
        ({"eid": "eid::r"}, "eid:"),
        ({"result": [1]}, "result:"),
        ({"timestamp": "2026-01-02T03:04:05"}, "timestamp:"),
        ({"timestamp": "yesterday"}, "timestamp:"),
        ({"surprise": 1}, "surprise:"),
        ({"qscore": 1.5}, "qscore:"),
    ],
)
def test_what_breaks_a_contract_is_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ContractInvalid, match=named):
        read_event(beam_fields(**changed))


@pytest.mark.parametrize(
    "content", ["", "[]", "3", "{", "null", b"\xff", '{"a": 1}', "{}", '{"type": "other"}', '{"type": []}']
)
def test_what_is_no_contract_is_refused(content: str | bytes) -> None:
    with pytest.raises((ContractInvalid, ContractUnknown)):
        read_event(content)


@given(st.binary(max_size=200) | objects.map(orjson.dumps) | contracts.map(lambda contract: contract.to_json()[1:-1]))
def test_anything_else_is_a_contract_or_a_typed_error(content: bytes) -> None:
    try:
        assert isinstance(read_event(content), Contract)
    except ContractError as error:
        assert str(error)


def test_moments_are_kept_in_utc() -> None:
    event = read_event(beam_fields(timestamp="2026-01-02T03:04:05.25+02:00"))
    assert isinstance(event, BeamEvent)
    assert event.timestamp == datetime(2026, 1, 2, 3, 4, 5, 250000, timezone(timedelta(hours=2)))
    assert event.to_fields()["timestamp"] == "2026-01-02T01:04:05.250000Z"


def test_entanglement_map_is_the_map_itself() -> None:
    links = EntanglementMap.model_validate({"eid::r::0a": ["mem:1:0x0"]})
    assert links.to_fields() == {"version": 1, "eid::r::0a": ["mem:1:0x0"]}
    assert links.links == {"eid::r::0a": ["mem:1:0x0"]}
    with pytest.raises(ContractInvalid):
        read_contract(EntanglementMap, {"version": 1, "other": ["a"]})


def test_a_mutation_keeps_its_uuid() -> None:
    mutation = read_event(
        {
            "mutation_id": "6f1f8f3e-7f68-4d3c-9a40-0d8a2f6f9b11",
            "timestamp": "2026-01-02T03:04:05Z",
            "original": {"glyph": "⊕", "weight": 1},
            "mutated": {"glyph": "⊗"},
            "metadata": {"reason": "fusion", "entropy_delta": -0.5, "rewrite_success_prob": 1, "container_id": ""},
        }
    )
    assert isinstance(mutation, DnaMutation)
    assert mutation.mutation_id == UUID("6f1f8f3e-7f68-4d3c-9a40-0d8a2f6f9b11")
