"""Open connections, kept per tenant, connection and version."""

import asyncio
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from dataclasses import replace
from pathlib import Path

from core.errors import Conflict, NotFound, Unauthorized, Unavailable
from core.settings import QuerySettings
from engine.connectors.connector import ConnectionSpec, Connector
from engine.connectors.duck import DuckPlan
from engine.connectors.duckfile import DuckdbConnector
from engine.connectors.files import FilesConnector
from engine.connectors.kinds import DuckdbOptions, FilesOptions, PostgresqlOptions, SqliteOptions, read_options
from engine.connectors.lakehouse import LakehouseConnector
from engine.connectors.places import Places
from engine.connectors.postgres import PostgresConnector
from engine.connectors.shared import NAMESPACE, OWNER, PATHS, SHARE, ShareConnector, placed
from engine.connectors.sqlite import SqliteConnector
from engine.lake.buckets import EXTENSIONS, narrowed, read_bucket
from engine.lake.storage import local_path
from engine.lake.warehouse import Lake

MAX_OPEN = 64

Key = tuple[str, str]
State = tuple[int, Hashable]
"""What an open connector was made for, version and place; in another state another one takes its place."""


Wrap = Callable[[ConnectionSpec, Connector], Connector]
"""Gives a connector that runs the statements of one, whose source was checked, in another process."""


class Connectors:
    """Hands out the connector of a connection; a changed connection replaces and closes the old one.

    With `wrap`, what is handed out is not what `build` makes but what `wrap` makes of that."""

    def __init__(
        self, *, lake: Lake, places: Places, settings: QuerySettings, temp_directory: Path, wrap: Wrap | None = None
    ):
        self._lake = lake
        self._places = places
        self._settings = settings
        self._temp = temp_directory
        self._wrap = wrap
        self._open: OrderedDict[Key, tuple[State, Connector]] = OrderedDict()
        self._opening: dict[tuple[Key, State], asyncio.Task[Connector]] = {}

    async def get(self, spec: ConnectionSpec) -> Connector:
        """The open connector. Raises Unavailable when it points where it no longer may, or where nothing is."""
        if spec.kind == SHARE and PATHS not in spec.options:
            far = self._lake.is_far(spec.options[OWNER])
            spec = await asyncio.to_thread(placed, self._lake, spec) if far else placed(self._lake, spec)
        key, state = (spec.tenant, spec.connection_id), self._state(spec)
        opened_in, connector = self._open.get(key, (None, None))
        if connector is not None and opened_in == state:
            self._open.move_to_end(key)
            return connector
        opening = self._opening.get((key, state))
        if opening is None:  # one for all who wait: each further one would close the one before it
            opening = self._opening[key, state] = asyncio.create_task(self._reopen(spec, key, state))
            opening.add_done_callback(lambda done: self._settle((key, state), done))
        return await asyncio.shield(opening)

    def _settle(self, key: tuple[Key, State], opening: "asyncio.Task[Connector]") -> None:
        del self._opening[key]
        if not opening.cancelled():
            opening.exception()  # marks it as seen: all callers may have gone away

    async def _reopen(self, spec: ConnectionSpec, key: Key, state: State) -> Connector:
        try:
            fresh = await asyncio.to_thread(self.build, spec)
        except (Conflict, NotFound, Unauthorized) as error:  # it was right when it was stored
            raise Unavailable(f"The connection cannot be opened. {error.message}", hint=error.hint) from error
        if self._wrap is not None:
            fresh = self._wrap(spec, fresh)
        _, replaced = self._open.pop(key, (None, None))
        self._open[key] = (state, fresh)
        if replaced is not None:
            await replaced.close()
        while len(self._open) > MAX_OPEN:
            _, (_, oldest) = self._open.popitem(last=False)
            await oldest.close()
        return fresh

    async def make_room(self, key: Key, *, keep: Collection[Key], at_most: int) -> None:
        """Close those used longest ago, but none of `keep`, until `key` fits under `at_most`."""
        for idle in [other for other in self._open if other not in keep]:
            if key in self._open or len(self._open) < at_most:
                return
            if idle in self._open:
                await self._open.pop(idle)[1].close()

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
        """A connector that nobody shares: for a connection that is not stored yet. Blocking.

        Raises Conflict on wrong options, Unauthorized or NotFound on a place that they may not or cannot name."""
        if spec.kind == SHARE:
            return ShareConnector(self._lake, spec, self._share_plan(spec))
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
        return LakehouseConnector(self._lake, spec.tenant, self._lakehouse_plan(spec.tenant))

    def _lakehouse_plan(self, tenant: str) -> DuckPlan:
        site = self._lake.site(tenant)
        if not site.is_remote:
            return self._plan(directories=[Path(site.root).resolve()], extensions=["avro", "iceberg"])
        bucket = read_bucket(site.root, site.given)
        plan = self._plan(extensions=[*EXTENSIONS[bucket.scheme], "avro", "iceberg"])
        return replace(plan, buckets=[bucket])

    def _share_plan(self, spec: ConnectionSpec) -> DuckPlan:
        """Just the tables that are shared; of a bucket's keys, an engine offers them nothing else."""
        site, places = self._lake.site(spec.options[OWNER]), json.loads(spec.options[PATHS])
        if not site.is_remote:
            folders = [Path(os.path.realpath(local_path(place))) for place in places]
            return self._plan(directories=folders, extensions=["avro", "iceberg"])
        bucket = read_bucket(site.root, site.given)
        plan = self._plan(extensions=[*EXTENSIONS[bucket.scheme], "avro", "iceberg"])
        return replace(plan, buckets=[narrowed(bucket, place) for place in places])

    def _state(self, spec: ConnectionSpec) -> State:
        if spec.kind == SHARE:
            owner = spec.options[OWNER]
            return spec.version, (self._lake.site(owner), spec.options[NAMESPACE], spec.options[PATHS])
        is_lakehouse = spec.kind == LakehouseConnector.kind
        return spec.version, self._lake.site(spec.tenant) if is_lakehouse else None

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
            # Of its own: engines that share a folder take each other's files for theirs.
            temp_directory=self._temp / secrets.token_hex(8),
        )
