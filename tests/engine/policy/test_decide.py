"""Which policy wins: the order of subjects, targets and rules, as properties of one pure function."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.connectors.connector import ColumnInfo, RelationInfo
from engine.policy.decide import Caller, decide, strictness
from engine.policy.policy import Bound, Policy, Rule, Subjects
from engine.policy.rules import STRICTNESS, ColumnRule, Governed, Mask, open_to_all

COLUMNS = (
    ColumnInfo("id", "bigint", False, 1, field_id=1),
    ColumnInfo("email", "varchar", True, 2, field_id=2),
    ColumnInfo("pay", "decimal(9,2)", True, 3, field_id=3),
)
STAFF = RelationInfo("hr.staff", COLUMNS, row_count=9, primary_key=("id",), identity="uuid-1")
EVE = Caller("eve", frozenset({"viewer"}), None, {"region": "eu"})
TAGS = {"email": ("pii",)}


def policy(policy_id: str = "p", *, expires_at: float | None = None, **rule: Any) -> Policy:
    given_rule = Rule(**{"kind": "column", "connection_id": "lakehouse", "table": "hr.staff", **rule})
    return Policy(policy_id, policy_id, "", given_rule, True, expires_at, 1, 0.0, 0.0)


def on(*names: str, **rule: Any) -> Policy:
    return policy(columns=tuple(Bound(name) for name in names), **rule)


def privacy(*policies: Policy, caller: Caller = EVE, column: str = "email", relation: RelationInfo = STAFF) -> str:
    found = decide(relation, TAGS, policies, caller, now=100.0)
    if found is None or column not in {item.name for item in found.relation.columns}:
        return "hidden"
    return found.privacy(column)


VIEWERS, EVE_ONLY = Subjects(frozenset({"viewer"})), Subjects(users=frozenset({"eve"}))
AGENTS = Subjects(agents=frozenset({"*"}))


def test_the_more_specific_subject_wins() -> None:
    everyone = on("email", privacy="hidden")
    role = on("email", privacy="masked", applies_to=VIEWERS)
    user = on("email", privacy="public", applies_to=EVE_ONLY)
    assert privacy(everyone) == "hidden"
    assert privacy(everyone, role) == "masked"
    assert privacy(everyone, role, user) == "public"
    assert privacy(role, user, caller=replace(EVE, roles=frozenset())) == "public"
    assert privacy(everyone, role, caller=Caller("bob")) == "hidden"


def test_then_the_more_specific_target_then_the_stricter_rule() -> None:
    table, tag = on("*", privacy="hidden"), policy(table="", tag="pii", privacy="masked")
    column = on("email", privacy="public")
    assert privacy(table, tag) == "masked" and privacy(table, tag, column) == "public"
    assert privacy(table, tag, column, column="pay") == "hidden"
    assert privacy(on("email", privacy="masked"), on("email", privacy="aggregate_only")) == "aggregate_only"


def test_a_table_with_nothing_left_does_not_exist() -> None:
    assert decide(STAFF, {}, [on("*", privacy="hidden")], EVE, now=0.0) is None


def test_exceptions_are_left_alone() -> None:
    hidden = on("email", privacy="hidden", except_for=VIEWERS)
    assert privacy(hidden) == "public" and privacy(hidden, caller=Caller("bob")) == "hidden"


def test_agents_are_narrowed_whatever_their_people_may() -> None:
    mine, agents = on("email", privacy="public", applies_to=EVE_ONLY), on("email", privacy="hidden", applies_to=AGENTS)
    assert privacy(mine, agents) == "public"
    for agent in ("bot", ""):
        assert privacy(mine, agents, caller=replace(EVE, agent=agent)) == "hidden"
    loose = on("email", privacy="public", applies_to=AGENTS)
    assert privacy(on("email", privacy="hidden"), loose, caller=replace(EVE, agent="bot")) == "hidden"


def test_a_renamed_column_is_still_meant_and_so_is_one_that_takes_its_name() -> None:
    rule: dict[str, Any] = {"table_identity": "uuid-1", "columns": (Bound("email", 2),), "privacy": "hidden"}
    renamed = replace(COLUMNS[1], name="mail")
    newcomer = ColumnInfo("EMAIL", "varchar", True, 4, field_id=9)
    moved = replace(STAFF, name="hr.people", columns=(COLUMNS[0], renamed, newcomer))
    hidden = policy(**rule)
    assert privacy(hidden, column="mail", relation=moved) == "hidden"
    assert privacy(hidden, column="EMAIL", relation=moved) == "hidden"
    again = replace(STAFF, identity="uuid-2", columns=(COLUMNS[0], replace(renamed, name="x"), newcomer))
    assert privacy(hidden, column="EMAIL", relation=again) == "hidden"
    assert privacy(hidden, column="x", relation=again) == "public"


def test_a_filter_follows_its_column_and_without_it_nothing_is_there() -> None:
    rows = policy(kind="row_filter", table_identity="uuid-1", filter="email = 'x'", filter_columns=(Bound("email", 2),))
    moved = replace(STAFF, columns=(COLUMNS[0], replace(COLUMNS[1], name="mail"), replace(COLUMNS[2], name="email")))
    found = decide(moved, {}, [rows], EVE, now=0.0)
    assert found is not None and found.filters[0].columns == (("email", "mail"),)
    assert found.relation.row_count is None and found.relation.size_bytes is None
    assert decide(replace(STAFF, columns=COLUMNS[:1]), {}, [rows], EVE, now=0.0) is None


def test_what_is_unreadable_is_refused() -> None:
    broken = replace(policy(), is_unreadable=True)
    assert decide(STAFF, {}, [broken], EVE, now=0.0) is None
    assert privacy(replace(policy(table="", tag="pii"), is_unreadable=True)) == "hidden"


def test_past_its_time_a_policy_grants_nothing_and_still_takes_away() -> None:
    hidden = on("email", privacy="hidden")
    grant = on("email", privacy="public", applies_to=EVE_ONLY)
    assert privacy(hidden, replace(grant, expires_at=101.0)) == "public"
    assert privacy(hidden, replace(grant, expires_at=100.0)) == "hidden"
    assert privacy(replace(hidden, expires_at=50.0)) == "hidden"


def test_masked_columns_show_the_type_that_comes_out() -> None:
    found = decide(STAFF, {}, [on("*", privacy="masked", mask=Mask("hash"))], EVE, now=0.0)
    assert found is not None and found.relation.primary_key == ()
    assert [column.data_type for column in found.relation.columns] == ["bigint", "varchar", "varchar"]


MASKS = st.sampled_from(
    [None, Mask("null"), Mask("hash"), Mask("constant", (("value", "x"),)), Mask("partial", (("keep_first", "2"),))]
)
SUBJECTS = st.builds(
    Subjects,
    st.frozensets(st.sampled_from(["viewer", "admin"]), max_size=1),
    st.frozensets(st.sampled_from(["eve", "bob"]), max_size=1),
    st.frozensets(st.sampled_from(["*", "bot"]), max_size=1),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    chosen = draw(st.sampled_from(sorted(STRICTNESS)))
    target = draw(st.sampled_from(["tag", "*", "email", "pay"]))
    where = {"table": "", "tag": "pii"} if target == "tag" else {"columns": (Bound(target),)}
    return replace(
        policy(
            privacy=chosen,
            mask=draw(MASKS) if chosen == "masked" else None,
            applies_to=draw(SUBJECTS),
            except_for=Subjects(draw(st.frozensets(st.sampled_from(["viewer"]), max_size=1))),
            **where,
        ),
        policy_id=draw(st.sampled_from("abcdef")),
        expires_at=draw(st.sampled_from([None, 50.0, 150.0])),
    )


CALLERS = st.builds(
    Caller,
    st.sampled_from(["eve", "bob"]),
    st.frozensets(st.sampled_from(["viewer", "admin"])),
    st.sampled_from([None, "", "bot"]),
    st.just({}),
)


def rules(found: Governed | None) -> dict[str, ColumnRule]:
    hidden, public = ColumnRule("hidden"), ColumnRule("public")
    if found is None:
        return {column.name: hidden for column in COLUMNS}
    shown = {column.name for column in found.relation.columns}
    return {c.name: found.columns.get(c.name, public) if c.name in shown else hidden for c in COLUMNS}


def leaves_no_more(one: Governed | None, other: Governed | None) -> bool:
    """Whether `one` shows at most what `other` shows."""
    mine, theirs = rules(one), rules(other)
    return all(strictness(mine[name]) >= strictness(theirs[name]) for name in mine)


@settings(max_examples=50, deadline=None)
@given(st.lists(policies(), max_size=6), CALLERS, st.randoms())
def test_the_order_of_policies_does_not_matter(given_policies: list[Policy], caller: Caller, random: Any) -> None:
    shuffled = random.sample(given_policies, len(given_policies))
    one, other = (rules(decide(STAFF, TAGS, items, caller, now=100.0)) for items in (given_policies, shuffled))
    assert one == other


@settings(max_examples=50, deadline=None)
@given(st.lists(policies(), max_size=6), CALLERS)
def test_an_agent_never_sees_more_than_its_person(given_policies: list[Policy], caller: Caller) -> None:
    person = decide(STAFF, TAGS, given_policies, replace(caller, agent=None), now=100.0)
    assert leaves_no_more(decide(STAFF, TAGS, given_policies, replace(caller, agent="bot"), now=100.0), person)


@settings(max_examples=50, deadline=None)
@given(st.lists(policies(), max_size=6), CALLERS)
def test_time_alone_never_shows_more(given_policies: list[Policy], caller: Caller) -> None:
    early, late = (decide(STAFF, TAGS, given_policies, caller, now=now) for now in (10.0, 200.0))
    assert leaves_no_more(late, early)


@settings(max_examples=50, deadline=None)
@given(st.lists(policies(), max_size=5), policies(), CALLERS)
def test_a_policy_for_someone_else_changes_nothing(many: list[Policy], extra: Policy, caller: Caller) -> None:
    foreign = replace(extra, rule=replace(extra.rule, applies_to=Subjects(users=frozenset({"nobody"}))))
    without = rules(decide(STAFF, TAGS, many, caller, now=100.0))
    assert rules(decide(STAFF, TAGS, [*many, foreign], caller, now=100.0)) == without


def test_a_copy_of_what_is_governed_does_not_take_its_text_along() -> None:
    governed = open_to_all(STAFF)
    governed.printed["sqlite"] = "SELECT *"
    assert replace(governed, min_group=5).printed == {} and governed.printed != {}
