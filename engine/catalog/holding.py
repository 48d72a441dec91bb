"""Policies and tags stay with a table whose name or columns are about to change.

They bind a table by its name, and by the identity that it had when they were made. One that took the name later is
bound by the name alone, and would be rid of them once it, or a column of it, is called otherwise: so before any such
change they are tied to its identity too. They stay on the name all the same: what is made under it next is theirs."""

from core.errors import Conflict
from engine.catalog.annotations import NO_NOTES, Annotations, Place
from engine.connectors.connector import RelationInfo
from engine.policy.decide import filter_columns
from engine.policy.policies import Policies


class Holding:
    """Ties policies and tags of one connection's relations to what those are."""

    def __init__(self, policies: Policies, annotations: Annotations, connection_id: str):
        self._policies = policies
        self._annotations = annotations
        self._connection_id = connection_id

    async def hold(self, tenant: str, relation: RelationInfo, *, new_name: str = "") -> None:
        """Tie whatever binds the relation to its identity, and the tags to the name that it is about to get.

        Done before the change; doing it twice is doing it once. Raises Conflict when a policy cannot be read, and so
        could not follow."""
        if not relation.identity:
            return
        await self._policies.hold(tenant, self._connection_id, relation)
        notes = await self._annotations.notes(tenant)
        key, new_name = relation.name.lower(), new_name.lower()
        tags = notes.then(self._connection_id, key, relation).column_tags
        known = notes.of(self._connection_id).get(new_name, NO_NOTES).column_tags if new_name else {}
        held = notes.by_identity.get(self._connection_id, {})
        for column in relation.columns:
            if column.field_id is None:
                continue
            identity = (relation.identity, column.field_id)
            for tag in tags.get(column.name, ()):
                if tag in held.get(identity, ()) and (not new_name or tag in known.get(column.name, ())):
                    continue
                place = Place(self._connection_id, new_name or key, column.name, identity)
                await self._annotations.tag(tenant, place, tag)

    async def check_needless(self, tenant: str, relation: RelationInfo, column: str) -> None:
        """Raises Conflict when a row filter reads the column: without it, nobody could read the table."""
        for policy in (await self._policies.all(tenant)).of(self._connection_id).about(relation, {}):
            if column in filter_columns(policy, relation):
                raise Conflict(
                    "A policy on this table needs that column.", hint="Whoever manages policies changes it first."
                )
