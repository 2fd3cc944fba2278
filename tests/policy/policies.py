"""Random policies of the subset that is compiled, as text in Cedar."""

from hypothesis import strategies as st

from vac.host.guard import Action

LABELS = {"secret": 0, "draft": 3, "l7": 9}
VMS = ("boot", "other")
CLASSES = ("standard", "batch")
DEVICES = ("console", "clock", "storage", "net", "qwave", "device:0x50")
SHARDS = (7, 1 << 40)
NAMES = st.sampled_from(["secret", "draft", "l7", "l1", "l15"])
FIELDS = st.sampled_from(["length", "permissions", "register", "tick", "sqi.score", "sqi.drift", "sqi.entropy"])
NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 15, 100, 65535, 65536])
VM = st.sampled_from(VMS).map(lambda name: f'VM::"{name}"')
CLASS = st.sampled_from(CLASSES).map(lambda name: f'QuotaClass::"{name}"')
ACTION = st.sampled_from([*Action, "syscall", "inflow", "outflow"]).map(lambda name: f'Action::"{name}"')
DEVICE = st.sampled_from([*DEVICES, "memory", "beams", "export", "entropy"]).map(lambda name: f'Device::"{name}"')
SHARD = st.sampled_from(SHARDS).map(lambda number: f'Shard::"{number}"')
RESOURCE = DEVICE | SHARD
OPERATOR = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
EQUALS = st.sampled_from(["==", "!="])


def text(template: str, *parts: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda values: template.format(*values))


QUOTED = st.lists(NAMES, min_size=0, max_size=3).map(lambda names: "[" + ", ".join(f'"{n}"' for n in names) + "]")
ENTITIES = st.lists(RESOURCE, min_size=1, max_size=3).map(lambda each: "[" + ", ".join(each) + "]")
ATOMS = st.one_of(
    text('context.labels.contains("{}")', NAMES),
    text("context.labels.containsAny({})", QUOTED),
    text("context.labels.containsAll({})", QUOTED),
    st.just("context.labels.isEmpty()"),
    text("context.{} {} {}", FIELDS, OPERATOR, NUMBERS),
    text("{} {} context.{}", NUMBERS, OPERATOR, FIELDS),
    text('principal.quota_class {} "{}"', EQUALS, st.sampled_from(CLASSES)),
    text('"{}" {} principal.quota_class', st.sampled_from(CLASSES), EQUALS),
    text("principal {} {}", EQUALS, VM | CLASS),
    text("principal in {}", VM | CLASS),
    text("action {} {}", EQUALS, ACTION),
    text("action in [{}, {}]", ACTION, ACTION),
    text("resource {} {}", EQUALS, RESOURCE),
    text("resource in {}", ENTITIES),
    st.sampled_from(["resource is Device", "resource is Shard", "principal is VM", "true", "false"]),
    text("resource is Device in {}", DEVICE),
    st.sampled_from(["context has labels", "context.sqi has score", "principal has quota_class", "context has tick"]),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        text("({} && {})", inner, inner),
        text("({} || {})", inner, inner),
        text("!({})", inner),
        text("(if {} then {} else {})", inner, inner, inner),
    ),
    max_leaves=5,
)
CLAUSE = text("{} {{ {} }}", st.sampled_from(["when", "unless"]), CONDITIONS)
PRINCIPAL = st.one_of(
    st.just("principal"),
    text("principal == {}", VM),
    text("principal in {}", VM | CLASS),
    st.just("principal is VM"),
    text("principal is VM in {}", CLASS),
)
ACTIONS = st.one_of(
    st.just("action"),
    text("action == {}", ACTION),
    text("action in {}", ACTION),
    text("action in [{}, {}]", ACTION, ACTION),
)
RESOURCES = st.one_of(
    st.just("resource"),
    text("resource == {}", RESOURCE),
    text("resource in {}", RESOURCE),
    st.sampled_from(["resource is Device", "resource is Shard"]),
)
POLICY = text(
    "{}({}, {}, {}) {};",
    st.sampled_from(["permit", "permit", "forbid"]),
    PRINCIPAL,
    ACTIONS,
    RESOURCES,
    st.lists(CLAUSE, max_size=2).map(" ".join),
)
POLICY_SETS = st.lists(POLICY, max_size=6).map("\n".join)
