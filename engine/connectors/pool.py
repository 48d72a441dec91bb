"""Open connections, kept per tenant, connection and version."""

import asyncio
from collections import OrderedDict
from pathlib import Path

from core.settings import QuerySettings
from engine.connectors.connector import ConnectionSpec, Connector
from engine.connectors.duck import DuckPlan
from engine.connectors.duckfile import DuckdbConnector
from engine.connectors.files import FilesConnector
from engine.connectors.kinds import DuckdbOptions, FilesOptions, PostgresqlOptions, SqliteOptions, read_options
from engine.connectors.lakehouse import LakehouseConnector
from engine.connectors.places import Places
from engine.connectors.postgres import PostgresConnector
from engine.connectors.sqlite import SqliteConnector
from engine.lake.warehouse import Lake

MAX_OPEN = 64


class Connectors:
    """Hands out the connector of a connection; a changed connection replaces and closes the old one."""

    def __init__(self, *, lake: Lake, places: Places, settings: QuerySettings, temp_directory: Path):
        self._lake = lake
        self._places = places
        self._settings = settings
        self._temp = temp_directory
        self._open: OrderedDict[tuple[str, str], tuple[int, Connector]] = OrderedDict()

    async def get(self, spec: ConnectionSpec) -> Connector:
        """The open connector. Raises InvalidArgument when its options are wrong or point where they may not."""
        key = (spec.tenant, spec.connection_id)
        version, connector = self._open.get(key, (None, None))
        if connector is not None and version == spec.version:
            self._open.move_to_end(key)
            return connector
        fresh = await asyncio.to_thread(self.build, spec)
        _, replaced = self._open.pop(key, (None, None))
        self._open[key] = (spec.version, fresh)
        if replaced is not None:
            await replaced.close()
        while len(self._open) > MAX_OPEN:
            _, (_, oldest) = self._open.popitem(last=False)
            await oldest.close()
        return fresh

    async def drop(self, tenant: str, connection_id: str) -> None:
        """Close a connection that was deleted."""
        _, connector = self._open.pop((tenant, connection_id), (None, None))
        if connector is not None:
            await connector.close()

    async def close(self) -> None:
        while self._open:
            _, (_, connector) = self._open.popitem()
            await connector.close()

    def build(self, spec: ConnectionSpec) -> Connector:
        """A connector that nobody shares: for a connection that is not stored yet. Blocking."""
        options = read_options(spec.kind, spec.options, spec.secret)
        if isinstance(options, DuckdbOptions):
            path = self._places.check_path(options.path)
            return DuckdbConnector(path, self._plan(files=[path], attach=path))
        if isinstance(options, FilesOptions):
            path = self._places.check_path(options.path)
            return FilesConnector(path, self._plan(directories=[path]) if path.is_dir() else self._plan(files=[path]))
        if isinstance(options, SqliteOptions):
            return SqliteConnector(self._places.check_path(options.path))
        if isinstance(options, PostgresqlOptions):
            return PostgresConnector(options, self._places.check_host(options.host, int(options.port)))
        folder = self._lake.tenant_folder(spec.tenant).resolve()
        return LakehouseConnector(
            self._lake, spec.tenant, self._plan(directories=[folder], extensions=["avro", "iceberg"])
        )

    def _plan(
        self,
        *,
        directories: list[Path] | None = None,
        files: list[Path] | None = None,
        extensions: list[str] | None = None,
        attach: Path | None = None,
    ) -> DuckPlan:
        return DuckPlan(
            directories=directories or [],
            files=files or [],
            extensions=extensions or [],
            attach=attach,
            memory_mb=self._settings.memory_mb,
            threads=self._settings.threads,
            temp_directory=self._temp,
        )
