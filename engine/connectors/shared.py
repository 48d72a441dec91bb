"""One dataset of another tenant's lakehouse: nothing but the tables that lie in it now."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from core.errors import NotFound
from engine.connectors.connector import ConnectionSpec, RelationInfo
from engine.connectors.duck import DuckPlan
from engine.connectors.lakehouse import LakehouseConnector
from engine.lake.names import split_name
from engine.lake.warehouse import Lake

SHARE = "share"
OWNER, NAMESPACE, PATHS = "owner", "namespace", "paths"


class ShareConnector(LakehouseConnector):
    """Reads in an engine of its own, which may open the folders of just these tables."""

    kind = SHARE

    def __init__(self, lake: Lake, spec: ConnectionSpec, plan: DuckPlan):
        self._namespace = spec.options[NAMESPACE]
        super().__init__(lake, spec.options[OWNER], plan)

    async def schema(self) -> list[RelationInfo]:
        return [relation for relation in await super().schema() if is_in(relation.name, self._namespace)]

    async def sources(self, names: Iterable[str]) -> Mapping[str, str]:
        return await super().sources([name for name in names if is_in(name, self._namespace)])

    def past(self, name: str, as_of: str) -> RelationInfo:
        if not is_in(name, self._namespace):
            raise NotFound(f"No table {name!r}.", hint="list_tables shows the names you can use.")
        return super().past(name, as_of)


def is_in(table: str, namespace: str) -> bool:
    """Whether a table lies in just that namespace, and not in one below it."""
    return tuple(part.lower() for part in split_name(table)[:-1]) == split_name(namespace.lower())


def placed(lake: Lake, spec: ConnectionSpec) -> ConnectionSpec:
    """The connection with the folders that it may read now. Blocking where the owner's catalog is far."""
    owner, namespace = spec.options[OWNER], spec.options[NAMESPACE]
    tables = [table for table in lake.tables(owner) if is_in(str(table.name), namespace)]
    paths = sorted({table.metadata.location for table in tables})
    return replace(spec, options={**spec.options, PATHS: json.dumps(paths)})
