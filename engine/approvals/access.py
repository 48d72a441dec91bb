"""Requests for data: somebody asks for a table or some columns, and gets them for a while.

What is asked for is not looked at until somebody decides, so asking tells nothing about what there is. The policy
that an approval makes only opens columns, to one user, and opens nothing any more when its time is over."""

import json
import time
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import Connection

from core.context import Principal
from core.errors import Conflict, PlatformError
from engine.approvals.approval import DATA_ACCESS, Approval, Effect, Kind, Opening
from engine.approvals.approvals import Approvals
from engine.catalog.annotations import NO_NOTES
from engine.catalog.catalog import Catalog
from engine.catalog.snapshots import Snapshot
from engine.connectors.connector import ColumnInfo, RelationInfo
from engine.lake.names import split_name
from engine.policy.decide import claim_of, names_column
from engine.policy.index import caller_of
from engine.policy.policies import insert_policy
from engine.policy.policy import Bound, Rule, Subjects

Standing = Callable[[str, str, str], Awaitable[Principal]]
"""Tenant, subject and via give the rights of now. Raises Unauthorized."""


class DataAccess:
    """Opens requests for data, and makes the policy when one is approved."""

    def __init__(
        self, approvals: Approvals, catalog: Catalog, *, standing: Standing, clock: Callable[[], float] = time.time
    ):
        self._approvals = approvals
        self._catalog = catalog
        self._standing = standing
        self._clock = clock
        approvals.register(Kind(DATA_ACCESS, prepare=self._grant, after=self._tell))

    async def request(
        self, by: Principal, connection_id: str, table: str, columns: Sequence[str], *, reason: str, hours: int
    ) -> Approval:
        """Ask. Without columns: all those of the table that no policy of their own protects."""
        subject = {"connection_id": connection_id, "table": table, "columns": list(columns), "hours": hours}
        what = f"{len(columns)} {'column' if len(columns) == 1 else 'columns'} of {table}" if columns else table
        opening = Opening(
            kind=DATA_ACCESS,
            title=f"Read {what} for {hours} h",
            key=json.dumps(subject),
            subject=subject,
            reason=reason,
        )
        return await self._approvals.open(by, opening)

    async def _grant(self, approval: Approval, by: Principal) -> Effect:
        subject = approval.subject
        snapshot = await self._catalog.snapshot(by, subject["connection_id"])
        key = snapshot.key(split_name(subject["table"]))
        if key is None:
            raise Conflict("There is no such table.", hint="Reject the request, and say so.")
        relation = snapshot.relations[key]
        found = await self._columns(approval, snapshot, key, subject["columns"])
        rule = Rule(
            kind="column",
            connection_id=subject["connection_id"],
            table=relation.name,
            table_identity=relation.identity,
            columns=tuple(Bound(column.name, column.field_id) for column in found),
            privacy="public",
            applies_to=Subjects(users=frozenset({approval.requested_by})),
        )
        policy = self._catalog.policies.draft(
            rule,
            name=f"Access of {approval.requested_by} to {relation.name}"[:255],
            description=f"Approved by {by.subject} ({approval.approval_id}). {approval.request_reason}"[:4000],
            policy_id=f"access_{approval.approval_id}",
            expires_at=self._clock() + subject["hours"] * 3600,
        )

        def effect(connection: Connection) -> None:
            insert_policy(connection, approval.tenant, policy)

        return effect

    async def _columns(
        self, approval: Approval, snapshot: Snapshot, key: str, wanted: Sequence[str]
    ) -> list[ColumnInfo]:
        relation = snapshot.relations[key]
        if wanted:
            return [_column(relation, name) for name in wanted]
        try:
            asker = await self._standing(approval.tenant, approval.requested_by, "user")
        except PlatformError:
            raise Conflict("Whoever asked is not there any more.", hint="Reject the request.") from None
        caller = caller_of(asker)
        notes = (await self._catalog.annotations.notes(approval.tenant)).at(snapshot).get(key, NO_NOTES)
        policies = (await self._catalog.policies.all(approval.tenant)).of(snapshot.spec.connection_id)
        held = [item for item in policies.about(relation, notes.column_tags) if claim_of(item, caller)]
        kept = {
            column.name
            for column in relation.columns
            for item in held
            if item.rule.kind == "column" and item.rule.privacy != "public"
            if (item.rule.tag in notes.column_tags.get(column.name, ()) if item.rule.tag else False)
            or any(names_column(bound, item.rule, relation, column) for bound in item.rule.columns)
        }
        found = [column for column in relation.columns if column.name not in kept]
        if not found:
            raise Conflict("Every column has a policy of its own.", hint="Ask for columns by name.")
        return found

    def _tell(self, approval: Approval) -> None:
        self._catalog.policies.forget(approval.tenant)


def _column(relation: RelationInfo, name: str) -> ColumnInfo:
    alike = [column for column in relation.columns if column.name == name]
    alike = alike or [column for column in relation.columns if column.name.lower() == name.lower()]
    if len(alike) != 1:
        raise Conflict(f"The table has no column {name[:80]!r}.", hint="Reject the request, and say so.")
    return alike[0]
