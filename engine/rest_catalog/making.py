"""New tables: where their files will lie, and their first metadata."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument
from engine.lake.metadata import local_path
from engine.lake.warehouse import TABLE_DEFAULTS
from engine.rest_catalog.names import Parts, checked
from engine.rest_catalog.paths import is_below
from engine.rest_catalog.updates import check_names, check_properties, check_version, read_errors

if TYPE_CHECKING:  # pyiceberg comes with the first commit
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.sorting import SortOrder


@dataclass(frozen=True, slots=True)
class Wish:
    """A table as a client wants it made."""

    name: str
    schema: "Schema"
    spec: "PartitionSpec"
    order: "SortOrder"
    properties: Mapping[str, str]
    is_staged: bool


def read_wish(body: Mapping[str, Any]) -> Wish:
    """Raises InvalidArgument."""
    from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortOrder

    name, location = body.get("name"), body.get("location")
    if not isinstance(name, str):
        raise InvalidArgument("`name` is missing.", hint="Give the table a name.")
    if location:
        raise InvalidArgument("This catalog chooses where a table lies.", hint="Leave `location` out.")
    with read_errors("table"):
        schema = Schema.model_validate(body.get("schema"))
        spec, order = body.get("partition-spec"), body.get("write-order")
        wish = Wish(
            name=checked((name,))[0],
            schema=schema,
            spec=PartitionSpec.model_validate(spec) if spec else UNPARTITIONED_PARTITION_SPEC,
            order=SortOrder.model_validate(order) if order else UNSORTED_SORT_ORDER,
            properties=read_properties(body.get("properties")),
            is_staged=body.get("stage-create") is True,
        )
        check_version(int(wish.properties.get("format-version", "2")))
    check_names(schema)
    return wish


def read_properties(value: Any, location: str = "") -> dict[str, str]:
    """Properties of a body. Raises InvalidArgument."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(text, str | int | float) for text in value.values()):
        raise InvalidArgument("Properties are texts by name.")
    properties = {key: text if isinstance(text, str) else str(text).lower() for key, text in value.items()}
    check_properties(properties, location)
    return properties


def first_metadata(catalog: "SqlCatalog", parts: Parts, wish: Wish) -> "TableMetadata":
    """Metadata of a table in a folder that no other table ever had. Raises InvalidArgument."""
    from pyiceberg.table.metadata import new_table_metadata

    identity = uuid.uuid4()
    with read_errors("table"):
        return new_table_metadata(
            wish.schema,
            wish.spec,
            wish.order,
            folder_of(catalog, parts, identity),
            {**TABLE_DEFAULTS, **wish.properties},
            identity,
        )


def folder_of(catalog: "SqlCatalog", parts: Parts, identity: uuid.UUID) -> str:
    """Where the files of a new table go: its name is for people, its uuid makes the folder its own."""
    plain = [re.sub(r"[^\w.-]", "_", part) for part in parts]
    warehouse = str(catalog.properties["warehouse"]).rstrip("/")
    if warehouse.startswith("/"):  # readers in Rust take only URLs
        warehouse = f"file://{warehouse}"
    return f"{warehouse}/{'.'.join(plain[:-1])}/{plain[-1]}-{identity.hex}"


def check_unused(location: str, others: Mapping[str, str]) -> None:
    """Raises InvalidArgument when another table's metadata lies in the folder."""
    if any(is_below(location, metadata) for metadata in others.values()):
        raise InvalidArgument("Another table lies there.", hint="Stage the table anew.")


def prepare_folder(location: str) -> None:
    """Make the folders of a staged table on a local disk: some clients write files there, but make no folders."""
    if location.startswith(("/", "file:")):
        for name in ("metadata", "data"):
            (local_path(location) / name).mkdir(parents=True, exist_ok=True)
