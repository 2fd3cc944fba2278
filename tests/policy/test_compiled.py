"""The tables decide as Cedar's own engine does, and refuse at load what they could not decide."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vac.host.guard import BEAMS, CLOCK, ENTROPY, EXPORT, MEMORY, QWAVE, Action, Facts, Resource
from vac.isa.sqi import Sqi
from vac.policy.errors import PolicyError
from vac.policy.referee import cedar_decides
from vac.policy.soul_law import SoulLaw
from vac.policy.tables import NOT_PERMITTED

from .policies import CLASSES, DEVICES, LABELS, POLICY_SETS, SHARDS, VMS

REQUESTS = st.one_of(
    st.tuples(
        st.sampled_from([Action.READ, Action.WRITE, Action.IN, Action.OUT]),
        st.sampled_from([Resource("Device", name) for name in DEVICES]),
    ),
    st.tuples(st.just(Action.MAP), st.sampled_from([Resource("Shard", str(number)) for number in SHARDS])),
    st.sampled_from([
        (Action.ALLOC, MEMORY), (Action.SLEEP, CLOCK), (Action.BEAM_EMIT, BEAMS), (Action.ENTROPY_PROBE, ENTROPY),
        (Action.INGEST, QWAVE), (Action.EXPORT, EXPORT),
    ]),
)  # fmt: skip
NEAR = st.sampled_from([0, 1, 2, 3, 4, 14, 15, 16, 99, 100, 101, 65535, 65536])
FACTS = st.builds(
    Facts,
    labels=st.sampled_from([0, 1, 8, 9, 1 << 9, 1 << 1, 1 << 15, 0xFFFF]) | st.integers(0, 0xFFFF),
    sqi=st.builds(Sqi, coherence=st.integers(0, 65535), entropy=st.sampled_from([0, 100, 65535]), drift=NEAR),
    length=NEAR,
    permissions=st.integers(0, 3),
    register=st.integers(0, 15),
    tick=NEAR | st.integers(0, (1 << 63) - 1),
)


@settings(max_examples=150)
@given(
    POLICY_SETS,
    st.sampled_from(VMS),
    st.sampled_from(CLASSES),
    st.lists(st.tuples(REQUESTS, FACTS), min_size=8, max_size=8),
)
def test_tables_decide_as_cedar_does(text: str, vm: str, quota_class: str, requests: list[Any]) -> None:
    try:
        law = SoulLaw.parse(text, LABELS)
        tables = law.tables(vm, quota_class=quota_class, devices=DEVICES, shards=SHARDS)
    except PolicyError as error:
        assume("too involved" not in str(error))
        raise
    for (action, resource), facts in requests:
        allowed, reasons = cedar_decides(law, vm, action, resource, facts, quota_class)
        denied_by = tables.decide(action, resource, lambda facts=facts: facts)
        assert (denied_by is None) is allowed, (action, resource, facts)
        if denied_by is not None:
            assert denied_by in reasons if reasons else denied_by == NOT_PERMITTED


def decided(text: str, action: Action, resource: Resource, **facts: Any) -> str | None:
    law = SoulLaw.parse(text, {"secret": 0})
    tables = law.tables("boot", devices=["console", "net"], shards=[7])
    return tables.decide(action, resource, lambda: Facts(**facts))


CONSOLE = Resource("Device", "console")
PERMIT_ALL = "permit(principal, action, resource);"


def test_nothing_is_permitted_by_itself_and_forbid_wins() -> None:
    assert decided("", Action.OUT, CONSOLE) == NOT_PERMITTED
    assert decided(PERMIT_ALL, Action.OUT, CONSOLE) is None
    law = PERMIT_ALL + '@id("no-out") forbid(principal, action == Action::"out", resource);' + PERMIT_ALL
    assert decided(law, Action.OUT, CONSOLE) == "no-out"
    assert decided(law, Action.IN, CONSOLE) is None


def test_what_the_machine_does_not_have_is_denied() -> None:
    for action, resource in [
        (Action.OUT, Resource("Device", "storage")),
        (Action.MAP, Resource("Shard", "8")),
        (Action.ALLOC, CONSOLE),
        (Action.MAP, CONSOLE),
    ]:
        assert decided(PERMIT_ALL, action, resource) == NOT_PERMITTED


def test_labelled_data_goes_where_it_may() -> None:
    law = """
        permit(principal, action, resource);
        @id("secrets-stay") forbid(principal, action in Action::"outflow", resource)
            when { context.labels.contains("secret") } unless { resource == Device::"net" };
    """
    assert decided(law, Action.WRITE, CONSOLE, labels=1) == "secrets-stay"
    assert decided(law, Action.WRITE, CONSOLE, labels=2) is None
    assert decided(law, Action.WRITE, Resource("Device", "net"), labels=1) is None
    assert decided(law, Action.EXPORT, EXPORT, labels=1) == "secrets-stay"
    assert decided(law, Action.READ, CONSOLE, labels=1) is None


def test_unconditional_decisions_need_no_facts() -> None:
    tables = SoulLaw.parse(PERMIT_ALL).tables("boot")

    def no_facts() -> Facts:
        raise AssertionError("asked for facts")

    assert tables.decide(Action.OUT, CONSOLE, no_facts) is None
    assert tables.decide(Action.OUT, Resource("Device", "net"), no_facts) == NOT_PERMITTED
    assert tables.always[Action.OUT] and not any(tables.sometimes.values())


def test_numbers_beyond_cedar_are_an_error() -> None:
    law = "permit(principal, action, resource) when { context.tick >= 0 };"
    assert decided(law, Action.OUT, CONSOLE, tick=(1 << 63) - 1) is None
    with pytest.raises(OverflowError):
        decided(law, Action.OUT, CONSOLE, tick=1 << 63)


def test_the_tables_can_be_looked_at() -> None:
    law = SoulLaw.parse('permit(principal, action == Action::"alloc", resource) when { context.length < 9 };')
    tables = law.tables("boot").to_json()
    assert tables["sometimes"] == {"alloc": 1 << tables["resources"].index('Device::"memory"')} and not tables["always"]
    assert tables["rules"] == [
        {
            "action": "alloc",
            "resource": 'Device::"memory"',
            "permit": [
                {"policy": "policy0", "terms": [{"required": 0, "excluded": 0, "ranges": {"length": [-(1 << 63), 8]}}]}
            ],
            "forbid": [],
        }
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("permit(", "unexpected end"),
        ('permit(principal == User::"a", action, resource);', "no entities of type User"),
        ('permit(principal, action == Action::"fly", resource);', "no action 'fly'"),
        ("permit(principal == ?principal, action, resource);", "templates"),
        ("permit(principal, action, resource is File);", "no entities of type File"),
        ("permit(principal, action, resource) when { context.lables.isEmpty() };", "context has no attribute 'lables'"),
        ('forbid(principal, action, resource) when { context.labels.contains("secert") };', "no label 'secert'"),
        ("permit(principal, action, resource) when { context.labels.contains(3) };", "labels are text"),
        ("permit(principal, action, resource) when { context.length + 1 > 2 };", "cannot be compiled"),
        ("permit(principal, action, resource) when { context.length };", "cannot be compiled"),
        ('permit(principal, action, resource) when { context.length == "a" };', "constant of its type"),
        ("permit(principal, action, resource) when { context.length < context.tick };", "constant of its type"),
        ("permit(principal, action, resource) when { principal.quota_class == 3 };", "constant of its type"),
        ('permit(principal, action, resource) when { principal.name == "x" };', "principal has no attribute 'name'"),
        ("permit(principal, action, resource) when { context has peer };", "context never has"),
        ('permit(principal, action, resource) when { principal.quota_class like "b*" };', "`like`"),
        ("permit(principal, action, resource) when { 1 == 1 };", "cannot be compiled"),
        ("permit(principal, action, resource) when { false && context.x };", "no attribute 'x'"),
        ('permit(principal, action, resource) when { ["a"].contains("a") };', "something else than context.labels"),
    ],
)
def test_what_cannot_be_decided_is_refused_at_load(text: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words) as caught:
        SoulLaw.parse(PERMIT_ALL + text, LABELS, name="some.cedar")
    assert str(caught.value).startswith("some.cedar: ")


def test_a_policy_that_grows_too_large_is_refused() -> None:
    label = 'context.labels.contains("l{}")'.format
    either = " && ".join(f"({label(2 * n)} || {label(2 * n + 1)})" for n in range(8))
    assert len(SoulLaw.parse(f"permit(principal, action, resource) when {{ {either} }};").policies) == 1
    either += " && (context.tick > 5 || context.length > 5)"
    with pytest.raises(PolicyError, match="policy0: too involved: more than 256 terms"):
        SoulLaw.parse(f"permit(principal, action, resource) when {{ {either} }};")


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("(" * 900 + "true" + ")" * 900, "line 1: brackets nested deeper than 64"),
        (" && ".join(["true"] * 30_000), "line 1: more than 2000 words"),
        ("true } // ;\r (((\n when {" * 30 + "((" * 40, "brackets nested"),
        ("if true then true else " * 300 + "context.x", "no attribute 'x'"),
        ("if " * 200 + "context.x" + " then true else false" * 200, "no attribute 'x'|recursion|nested|unexpected"),
        ("context" + ".tick" * 900, "recursion|nested"),
        ("true\n" * (1 << 18), "characters; policies may have"),
    ],
)
def test_text_that_would_overrun_a_stack_is_refused(condition: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        SoulLaw.parse(f"permit(principal, action, resource) when {{ {condition} }};")


def test_effort_has_an_end() -> None:
    wide = " || ".join(f"(context.tick == {n} && context.length == {n})" for n in range(40))
    many = f"permit(principal, action, resource) when {{ ({wide}) && ({wide}) }};" * 110
    with pytest.raises(PolicyError, match="too involved to be compiled"):
        SoulLaw.parse(many).tables("boot")
    with pytest.raises(PolicyError, match="1,001 policies"):
        SoulLaw.parse(PERMIT_ALL * 1001)
    test = "context.tick > 5"
    for n in range(30):
        test = f"if ({test}) then context.length == {n} else false" if n % 2 else f"if {test} then false else true"
    assert SoulLaw.parse(f"permit(principal, action, resource) when {{ {test} }};").tables("boot")


def test_labels_have_bits() -> None:
    with pytest.raises(PolicyError, match="has bit 16"):
        SoulLaw.parse("", {"far": 16})


TEXT = """permit forbid ( ) { } [ ] principal action resource context .labels .sqi .score .contains "secret" when unless
    == in is has && || ! if then else ; , true Action::"in" Device::"net" Shard 3 - + < ?principal @id // like é \\"""
WORDS = st.sampled_from([*TEXT.split(), "\n"])


@settings(max_examples=400)
@given(st.one_of(st.lists(WORDS, max_size=40).map(" ".join), st.text(max_size=60)))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    for whole in (text, f"permit(principal, action, resource) when {{ {text} }};"):
        try:
            SoulLaw.parse(whole, LABELS).tables("boot", devices=DEVICES)
        except PolicyError as error:
            assert str(error).startswith("policy: ")
