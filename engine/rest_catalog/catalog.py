"""Headwater as an Iceberg REST catalog: the work behind the protocol's operations, for one caller at a time."""

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.context import Principal
from core.errors import Conflict, InvalidArgument, Unavailable
from engine.catalog.catalog import Catalog
from engine.datasets.datasets import Datasets
from engine.datasets.rows import ManagedTable
from engine.lake.names import join_name
from engine.lake.sites import DISTANT
from engine.lake.storage import Storage
from engine.lake.warehouse import Lake, LakeTable
from engine.rest_catalog.names import Parts, check_free, sent_identifier
from engine.rest_catalog.refusals import AlreadyExists, NamespaceNotEmpty, UnsupportedOperation
from engine.rest_catalog.sight import Sight, no_table
from engine.rest_catalog.updates import check_rights, read_commit

if TYPE_CHECKING:  # pyiceberg comes with the first write
    from pyiceberg.catalog.sql import SqlCatalog


class RestCatalog:
    """Namespaces, tables and commits of every tenant's lakehouse, in the words of Iceberg's protocol."""

    def __init__(self, lake: Lake, catalog: Catalog, datasets: Datasets):
        self.sight = Sight(lake, catalog)
        self._lake = lake
        self._datasets = datasets

    async def create_namespace(self, by: Principal, parts: Parts, properties: Mapping[str, str]) -> None:
        """Raises AlreadyExists, InvalidArgument."""
        check_free(parts)
        if "location" in properties:
            raise InvalidArgument("This catalog chooses where tables lie.", hint="Leave the property location out.")
        taken = {name.lower() for name in await asyncio.to_thread(self._lake.namespaces, by.tenant)}
        if join_name(parts).lower() in taken:
            raise AlreadyExists(f"There is a namespace {join_name(parts)[:80]!r}.", hint="Use it.")
        await self._lake.commit(by.tenant, lambda catalog: catalog.create_namespace(parts, dict(properties)))

    async def namespace_properties(self, by: Principal, parts: Parts) -> tuple[Parts, dict[str, str]]:
        """Raises NoSuchNamespace."""
        found = await self.sight.namespace(by, parts)

        def work(catalog: "SqlCatalog") -> dict[str, str]:
            if not catalog.namespace_exists(found):  # only the levels below it were made
                return {}
            return dict(catalog.load_namespace_properties(found))

        properties = await self._lake.commit(by.tenant, work)
        return found, {key: value for key, value in properties.items() if key != "exists"}

    async def change_namespace(
        self, by: Principal, parts: Parts, removals: list[str], updates: Mapping[str, str]
    ) -> list[str]:
        """Change a namespace's properties; those that were to go and were not there. Raises NoSuchNamespace."""
        found, known = await self.namespace_properties(by, parts)
        if "location" in updates or set(removals) & updates.keys():
            raise InvalidArgument("The property location, or one both set and removed, is refused.")
        gone = set(removals) & known.keys()
        await self._lake.commit(
            by.tenant, lambda catalog: catalog.update_namespace_properties(found, gone, dict(updates))
        )
        return [name for name in removals if name not in gone]

    async def drop_namespace(self, by: Principal, parts: Parts) -> None:
        """Raises NoSuchNamespace, NamespaceNotEmpty."""
        from pyiceberg.exceptions import NamespaceNotEmptyError

        found = await self.sight.namespace(by, parts)

        def work(catalog: "SqlCatalog") -> None:
            try:
                catalog.drop_namespace(found)
            except NamespaceNotEmptyError as error:
                raise not_empty() from error

        if any(below[: len(found)] == found and below != found for below in await self.sight.namespaces(by)):
            raise not_empty()
        await self._lake.commit(by.tenant, work)

    async def load(self, by: Principal, parts: Parts) -> str:
        """A table in the protocol's form, as JSON. Raises NoSuchTable, Unauthorized."""
        table = await self.sight.table(by, parts)
        return await asyncio.to_thread(loaded, table.metadata.metadata_location, await self._storage(by))

    async def create_table(self, by: Principal, namespace: Parts, body: Mapping[str, Any]) -> str:
        """Make or stage a table; its form as JSON. Raises NoSuchNamespace, AlreadyExists, InvalidArgument."""
        from engine.rest_catalog.making import first_metadata, prepare_folder, read_wish

        found = await self.sight.namespace(by, namespace)
        check_free(found)
        wish = await asyncio.to_thread(read_wish, body)
        storage = await self._storage(by)
        if wish.is_staged and self._lake.site(by.tenant).kind in DISTANT:
            raise UnsupportedOperation(
                "This lakehouse's catalog is another server's, which places tables itself.",
                hint="Create the table first, then write to it.",
            )
        parts = (*found, wish.name)
        if await asyncio.to_thread(self.sight.is_taken, by.tenant, parts):
            raise taken(parts)

        def work(catalog: "SqlCatalog") -> str:
            metadata = first_metadata(catalog, parts, wish)
            if wish.is_staged:
                prepare_folder(metadata.location)
                return form(metadata.model_dump_json(), None)
            from engine.rest_catalog.committing import insert

            return loaded(insert(catalog, parts, metadata), storage)

        return await self._lake.commit(by.tenant, work)

    async def commit(self, by: Principal, parts: Parts, body: Mapping[str, Any]) -> str:
        """Change a table, or make one that was staged; its form as JSON.

        Raises CommitFailed, NoSuchTable, Unauthorized, InvalidArgument."""
        from engine.rest_catalog.committing import Commit, commit, commit_new

        if body.get("identifier") is not None and sent_identifier(body["identifier"]) != parts:
            raise InvalidArgument("The body names another table than the path.")
        asked = Commit(parts, *await asyncio.to_thread(read_commit, body))
        is_new = any(requirement.type == "assert-create" for requirement in asked.requirements)
        check_rights(by, asked.updates, is_new=is_new)
        if is_new:
            namespace = await self.sight.namespace(by, parts[:-1])
            check_free(namespace)
            if await asyncio.to_thread(self.sight.is_taken, by.tenant, parts):
                raise taken(parts)
            new = Commit((*namespace, parts[-1]), asked.requirements, asked.updates)
            tables = await asyncio.to_thread(self._lake.tables, by.tenant)
            known_uuids = {table.metadata.table_uuid for table in tables}
            if any(update.action == "assign-uuid" and str(update.uuid) in known_uuids for update in asked.updates):
                raise InvalidArgument("Another table has that uuid.", hint="Stage the table anew.")
            others = {str(table.name): table.metadata.metadata_location for table in tables}
            location = await self._lake.commit(by.tenant, lambda catalog: commit_new(catalog, new, others))
        else:
            table = await self.sight.table(by, parts)
            await self._datasets.following.hold(by.tenant, table)  # a commit may rename columns
            known = Commit(table.name.parts, asked.requirements, asked.updates)
            identity = table.metadata.table_uuid
            location = await self._lake.commit(by.tenant, lambda catalog: commit(catalog, known, identity))
        return await asyncio.to_thread(loaded, location, await self._storage(by))

    async def _storage(self, by: Principal) -> Storage:
        return await asyncio.to_thread(self._lake.storage, by.tenant)

    async def commit_all(self, by: Principal, body: Mapping[str, Any]) -> None:
        """A transaction over one table. Raises UnsupportedOperation over more: they could not be made as one."""
        changes = body.get("table-changes")
        if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
            raise InvalidArgument("`table-changes` is not a list of commits.")
        if len(changes) != 1:
            raise UnsupportedOperation(
                "A transaction changes one table: changes of several could not be made as one.",
                hint="Commit table by table.",
            )
        await self.commit(by, sent_identifier(changes[0].get("identifier")), changes[0])

    async def rename(self, by: Principal, source: Parts, target: Parts) -> None:
        """Raises NoSuchTable, NoSuchNamespace, AlreadyExists."""
        row = await self._managed(by, source)
        namespace = await self.sight.namespace(by, target[:-1])
        check_free(namespace)
        name = join_name(namespace)
        dataset = next((item for item in await self._datasets.all(by) if item.name == name), None)
        if dataset is None:
            await self._lake.commit(by.tenant, lambda catalog: catalog.create_namespace_if_not_exists(namespace))
            dataset = next(item for item in await self._datasets.all(by) if item.name == name)
        if await asyncio.to_thread(self.sight.is_taken, by.tenant, (*namespace, target[-1])):
            raise taken(target)
        await self._datasets.move_table(by, row.table_id, name=target[-1], dataset_id=dataset.dataset_id)

    async def drop(self, by: Principal, parts: Parts) -> None:
        """Delete a table as `delete_table` does: it can be restored for some days. Raises NoSuchTable."""
        row = await self._managed(by, parts)
        await self._datasets.delete_table(by, row.table_id)

    async def _managed(self, by: Principal, parts: Parts) -> ManagedTable:
        table: LakeTable = await self.sight.table(by, parts)
        for row in await self._datasets.tables(by):
            if row.identity == table.metadata.table_uuid:
                return row
        raise no_table(parts)


def loaded(metadata_location: str, storage: Storage) -> str:
    """A table's form with its metadata file as it is, also of versions that pyiceberg does not write."""
    try:
        text = storage.read(metadata_location).decode()
    except (OSError, ValueError) as error:
        raise Unavailable("A table's metadata cannot be read.", hint="Retry in a moment.") from error
    return form(text, metadata_location)


def form(metadata: str, location: str | None) -> str:
    """What clients get for a table."""
    return f'{{"metadata-location": {json.dumps(location)}, "metadata": {metadata}, "config": {{}}}}'


def taken(parts: Parts) -> Conflict:
    return AlreadyExists(f"There is a table {join_name(parts)[:120]!r}.", hint="Choose another name, or load it.")


def not_empty() -> NamespaceNotEmpty:
    return NamespaceNotEmpty("The namespace is not empty.", hint="Drop its tables first.")
