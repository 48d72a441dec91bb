"""What happens in the catalog to namespaces and tables. Every step may be repeated, also after a kill half way."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    NoSuchTableError,
)
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField

from core.errors import Conflict, NotFound
from engine.lake.names import FAR_TRASH, TRASH
from engine.lake.storage import Storage
from engine.lake.warehouse import TABLE_DEFAULTS
from engine.maintenance.types import parse_type

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

OWNER = "managed-table-id"  # no name of ours: another Headwater's catalog would refuse it
Parts = tuple[str, ...]


def make_namespace(catalog: "SqlCatalog", parts: Parts) -> None:
    """Make a namespace unless it is there."""
    try:
        catalog.create_namespace_if_not_exists(parts)
    except NamespaceAlreadyExistsError:
        return


def drop_namespace(catalog: "SqlCatalog", parts: Parts) -> bool:
    """Drop a namespace that is empty; false when it is not."""
    try:
        catalog.drop_namespace(parts)
    except NoSuchNamespaceError:
        return True
    except NamespaceNotEmptyError:
        return False
    return True


def tables_of(catalog: "SqlCatalog", parts: Parts) -> list[Parts]:
    try:
        return list(catalog.list_tables(parts))
    except NoSuchNamespaceError:
        return []


def make_schema(columns: Sequence[Mapping[str, Any]]) -> Schema:
    """The Iceberg schema of columns as `read_columns` gives them. Raises Conflict."""
    fields = [
        NestedField(
            number,
            column["name"],
            parse_type(column["type"]),
            required=not column["nullable"],
            doc=column.get("description") or None,
        )
        for number, column in enumerate(columns, start=1)
    ]
    return Schema(*fields)


def make_table(catalog: "SqlCatalog", parts: Parts, table_id: str, columns: Sequence[Mapping[str, Any]]) -> str:
    """Make a table, in a folder that no other ever had; its uuid. Raises Conflict when another has the name."""
    try:
        table = catalog.load_table(parts)
    except NoSuchTableError:
        plain = table_id.replace("-", "")[:12]
        folder = f"{catalog.properties['warehouse']}/{'.'.join(parts[:-1])}/{parts[-1]}-{plain}"
        table = catalog.create_table(
            parts, make_schema(columns), location=folder, properties={**TABLE_DEFAULTS, OWNER: table_id}
        )
    if table.properties.get(OWNER) != table_id:
        raise Conflict("The dataset has a table of that name.", hint="Choose another name.")
    return str(table.metadata.table_uuid)


def move_table(catalog: "SqlCatalog", identity: str, old: Parts, new: Parts) -> None:
    """Give a table another name or namespace. Raises NotFound when it is gone, Conflict when the name is taken."""
    old, new = placed(catalog, old), placed(catalog, new)
    found = _identity(catalog, new)
    if found == identity:
        return
    if _identity(catalog, old) != identity:
        raise NotFound("The table is no longer in the lakehouse.", hint="list_managed_tables shows those that are.")
    if found is not None:
        raise Conflict("The dataset has a table of that name.", hint="Choose another name.")
    make_namespace(catalog, new[:-1])
    catalog.rename_table(old, new)


def drop_table(catalog: "SqlCatalog", parts: Parts) -> str:
    """Take a table out of the catalog; where its files lie, or empty when it was gone."""
    try:
        location: str = catalog.load_table(placed(catalog, parts)).location()
        catalog.drop_table(placed(catalog, parts))
    except NoSuchTableError:
        return ""
    return location


def delete_folder(location: str, warehouse: str, neighbours: Sequence[str], storage: Storage) -> None:
    """Delete a table's files, unless another table lies there too or they lie outside the lakehouse."""
    folder, root = f"{storage.spelled(location).rstrip('/')}/", f"{storage.spelled(warehouse).rstrip('/')}/"
    if folder == root or not folder.startswith(root):
        return
    others = [f"{storage.spelled(other).rstrip('/')}/" for other in neighbours]
    if not any(other.startswith(folder) or folder.startswith(other) for other in others):
        storage.remove_tree(location)


def trash(table_id: str) -> Parts:
    """Where a deleted table waits."""
    return TRASH, table_id


def placed(catalog: "SqlCatalog", parts: Parts) -> Parts:
    """A name as it is in this catalog: the trash has another one in catalogs of others."""
    return (FAR_TRASH, *parts[1:]) if parts[0] == TRASH and not hasattr(catalog, "engine") else parts


def _identity(catalog: "SqlCatalog", parts: Parts) -> str | None:
    try:
        return str(catalog.load_table(parts).metadata.table_uuid)
    except NoSuchTableError:
        return None
