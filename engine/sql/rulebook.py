"""Policies as people write them: bound to what is there, tried on the source, and explained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from core.context import Principal
from core.errors import Conflict, NotFound, PlatformError, QueryUnauthorized
from engine.catalog.annotations import NO_NOTES
from engine.catalog.catalog import Catalog
from engine.catalog.snapshots import Snapshot
from engine.connectors.connector import ColumnInfo, ConnectionSpec, RelationInfo
from engine.connectors.shared import SHARE
from engine.lake.names import split_name
from engine.policy.decide import Caller, claim_of, decide
from engine.policy.families import fits
from engine.policy.index import caller_of
from engine.policy.policies import check_change
from engine.policy.policy import EVERY, Bound, Policy, Rule, Subjects
from engine.policy.rules import Governed, Privacy

if TYPE_CHECKING:
    from engine.sql.bind import Prepared

LAKEHOUSE = "lakehouse"
SQLITE_GRAINS = ("year", "month", "day", "hour")


@dataclass(frozen=True, slots=True)
class TableEffect:
    """What policies change of one table for one caller."""

    table: str
    filters: Mapping[str, str]  # by policy
    columns: Mapping[str, Privacy]  # those that are not public
    policies: Sequence[str]


@dataclass(frozen=True, slots=True)
class Trial:
    """A query as somebody else would run it; `error` is what they would read instead."""

    sql: str = ""
    tables: Sequence[TableEffect] = ()
    error: PlatformError | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody sees of a table; `about` are the policies on it, with whether they concern the person."""

    is_visible: bool
    effect: TableEffect
    about: Sequence[tuple[Policy, bool]] = field(default_factory=tuple)


class Rulebook:
    """Checks rules against the sources they are about, and shows what they do."""

    def __init__(self, catalog: Catalog):
        self._catalog = catalog

    async def bind(self, by: Principal, rule: Rule) -> Rule:
        """The rule, tied to the identity of the table and columns it names.

        Raises Unauthorized, NotFound for what is not there, Conflict for what cannot work."""
        check_change(by)
        _check_form(rule)
        if rule.tag:
            if rule.connection_id != EVERY:
                await self._catalog.connections.get(by.tenant, rule.connection_id)
            return rule
        snapshot = await self._catalog.snapshot(by, rule.connection_id)
        relation = _of_identity(rule, snapshot) or snapshot.find(split_name(rule.table))
        if relation is None:
            raise NotFound(
                f"No table {rule.table[:80]!r} in {rule.connection_id}.",
                hint="A policy names a table that is there; one for a tag covers columns to come as well.",
            )
        connector = await self._catalog.connector(by, rule.connection_id)
        bound = replace(
            rule,
            table=rule.table if rule.table_identity else relation.name,
            table_identity=relation.identity,
            columns=tuple(_rebound(item, rule, relation) for item in rule.columns),
        )
        _check_mask(bound, relation, connector.dialect)
        if rule.filter and not rule.filter_columns:
            bound = _bind_filter(bound, relation, connector.dialect)
        await self._try(by, bound, relation)
        return bound

    async def _try(self, by: Principal, rule: Rule, relation: RelationInfo) -> None:
        """Let the engine plan it: a filter of wrong types would otherwise fail every query."""
        from engine.sql.govern import govern  # with sqlglot, which a start does not need

        connector = await self._catalog.connector(by, rule.connection_id)
        policy = Policy(
            "new", "", "", replace(rule, applies_to=Subjects(), except_for=Subjects()), True, None, 1, 0.0, 0.0
        )
        governed = decide(relation, {}, [policy], Caller(""), now=0.0, mask_key="0")
        sources = await connector.sources([relation.name])
        if governed is None or relation.name not in sources:
            return
        read = govern(governed, sources[relation.name], connector.dialect)
        try:
            await connector.explain(f"SELECT * FROM {read} AS tried", {})  # noqa: S608 - printed by us
        except Conflict as error:
            raise Conflict(
                f"The source cannot apply this policy: {error.message}", hint="Check the types of filter and mask."
            ) from error

    async def trial(self, by: Principal, whom: Principal, connection_id: str, sql: str) -> Trial:
        """How a query of somebody's would be governed. Nothing is run. Raises Unauthorized, NotFound."""
        check_change(by)
        view = await self._catalog.view(whom, connection_id)
        _refuse_share(view.spec)
        connector = await self._catalog.connector(by, connection_id)
        from engine.sql.bind import prepare

        try:
            prepared = prepare(sql, view, connector.dialect, max_rows=1000)
        except QueryUnauthorized as error:
            return Trial(error=error)
        policies = (await self._catalog.policies.all(by.tenant)).policies
        effects = {governed.source.name: _effect(governed, policies) for governed in prepared.markers.values()}
        return Trial(_shown(prepared), [effects[name] for name in sorted(effects)])

    async def access(self, by: Principal, whom: Principal, connection_id: str, table: str) -> Access:
        """What somebody sees of a table, and which policies say so. Raises Unauthorized, NotFound."""
        check_change(by)
        snapshot = await self._catalog.snapshot(by, connection_id)
        _refuse_share(snapshot.spec)
        key = snapshot.key(split_name(table))
        if key is None:
            raise NotFound(f"No table {table[:80]!r} in {connection_id}.", hint="list_tables shows the tables.")
        relation, known = snapshot.relations[key], await self._catalog.policies.all(by.tenant)
        notes = (await self._catalog.annotations.notes(by.tenant)).at(snapshot).get(key, NO_NOTES)
        about = known.of(connection_id).about(relation, notes.column_tags)
        governed = (await self._catalog.view(whom, connection_id)).get(key)
        caller = caller_of(whom)
        seen = [(policy, claim_of(policy, caller) is not None) for policy in about]
        if governed is None:
            nothing = TableEffect(relation.name, {}, {column.name: "hidden" for column in relation.columns}, ())
            return Access(False, nothing, seen)
        return Access(True, _effect(governed, known.policies), seen)


def _refuse_share(spec: ConnectionSpec) -> None:
    """What holds there is its owner's to show."""
    if spec.kind == SHARE:
        raise Conflict(
            "A dataset that is shared with you is governed by its owner.", hint="list_columns shows what you may see."
        )


def _of_identity(rule: Rule, snapshot: Snapshot) -> RelationInfo | None:
    """The table that a stored rule was made for, also where it is called otherwise now."""
    return next((found for found in snapshot.relations.values() if rule.table_identity == found.identity != ""), None)


def _check_form(rule: Rule) -> None:
    if rule.kind == "row_filter":
        if not rule.table or not rule.filter or rule.tag or rule.columns or rule.mask:
            raise Conflict(
                "A row filter has a table and a filter, and neither columns nor tag nor mask.",
                hint="Policies for columns are of the kind `column`.",
            )
        return
    if rule.filter:
        raise Conflict("A policy for columns has no filter.", hint="Make a second policy of the kind `row_filter`.")
    if bool(rule.tag) == bool(rule.table) or bool(rule.table) != bool(rule.columns):
        raise Conflict(
            "A policy for columns names either a tag, or a table and its columns.",
            hint='["*"] stands for all columns of the table.',
        )
    if rule.mask and rule.privacy != "masked":
        raise Conflict("Only masked columns have a mask.", hint="Set `privacy` to masked, or leave the mask out.")


def _rebound(item: Bound, rule: Rule, relation: RelationInfo) -> Bound:
    """The column of a rule; what is tied to an identity stays so, whatever the column is called by now."""
    is_tied = item.field_id is not None and rule.table_identity == relation.identity != ""
    return item if is_tied else _bound(item.name, relation)


def _bound(name: str, relation: RelationInfo) -> Bound:
    if name == EVERY:
        return Bound(EVERY)
    column = _column(name, relation)
    return Bound(column.name, column.field_id)


def _column(name: str, relation: RelationInfo) -> ColumnInfo:
    alike = [column for column in relation.columns if column.name.lower() == name.lower()]
    exact = [column for column in alike if column.name == name] or alike
    if len(exact) != 1:
        raise NotFound(
            f"No column {name[:80]!r} in {relation.name}.", hint='list_columns shows them; ["*"] covers those to come.'
        )
    return exact[0]


def _columns_of(bound: Bound, relation: RelationInfo) -> list[ColumnInfo]:
    """The column that is meant now; none where it was dropped, or where it is every one."""
    if bound.name == EVERY:
        return []
    if bound.field_id is None:
        return [_column(bound.name, relation)]
    return [column for column in relation.columns if column.field_id == bound.field_id]


def _check_mask(rule: Rule, relation: RelationInfo, dialect: str) -> None:
    mask = rule.mask
    if mask is None:
        return
    for bound in rule.columns:
        if any(not fits(mask, column.data_type) for column in _columns_of(bound, relation)):
            raise Conflict(
                f"A mask of the kind {mask.kind} does not hide values of {bound.name!r} this way.",
                hint="date needs dates, number numbers, partial text, constant its own type; null, hash fit all.",
            )
    if dialect == "sqlite" and mask.kind == "date" and mask.option("grain") not in SQLITE_GRAINS:
        raise Conflict("SQLite has no such grain.", hint=f"Choose one of {', '.join(SQLITE_GRAINS)}.")


def _bind_filter(rule: Rule, relation: RelationInfo, dialect: str) -> Rule:
    from engine.sql.filters import read_filter

    try:
        found = read_filter(rule.filter, relation, dialect)
    except QueryUnauthorized as error:
        reason = error.message.removeprefix("Access denied: ")
        raise Conflict(f"The filter cannot be used: {reason}", hint=error.hint) from error
    columns = tuple(Bound(name, _column(name, relation).field_id) for name in found.columns)
    return replace(rule, filter_columns=columns, facts=found.facts)


def _effect(governed: Governed, policies: Mapping[str, Policy]) -> TableEffect:
    visible = {column.name for column in governed.relation.columns}
    columns: dict[str, Privacy] = {}
    for column in governed.source.columns:
        privacy = governed.privacy(column.name) if column.name in visible else "hidden"
        if privacy != "public":
            columns[column.name] = privacy
    filters = {item.policy_id: item.expression for item in governed.filters}
    return TableEffect(governed.source.name, filters, columns, [name for name in governed.policies if name in policies])


def _shown(prepared: "Prepared") -> str:
    """The governed statement, tables by their names and without the tenant's key."""
    from engine.sql.govern import govern

    sql = prepared.template
    for marker, governed in prepared.markers.items():
        read = govern(governed, governed.source.name, prepared.dialect, is_calm=prepared.is_calm, shows_key=False)
        sql = sql.replace(marker, read)
    return sql
