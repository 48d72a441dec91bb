"""A tenant's end: everything of it is deleted, and its key with it, in steps that can be repeated after a kill."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, func, select, update

from core.errors import Conflict, NotFound, PlatformError
from engine.identity.auth_file import DEFAULT_TENANT
from engine.identity.tenants import PURGED
from engine.lake.storage import is_remote
from engine.lake.warehouse import Lake
from engine.results.objects import Objects
from engine.store.db import Store
from engine.store.tables import jobs, tenants
from engine.tenancy.belongings import KEPT, Folders, files_below, named_places, rows_of, tables_of

T = tenants.c


@dataclass(frozen=True, slots=True)
class Purged:
    """What a step, or all of them, removed."""

    rows: int = 0
    files: int = 0
    size_bytes: int = 0
    is_compacted: bool = True

    def __add__(self, other: "Purged") -> "Purged":
        return Purged(
            self.rows + other.rows,
            self.files + other.files,
            self.size_bytes + other.size_bytes,
            self.is_compacted and other.is_compacted,
        )


Step = Callable[[str], Awaitable[Purged]]


class Purge:
    """Deletes archived tenants. Each step finds for itself what is left to do, so all can run again from the start.

    `drop` deletes what other parts keep outside the store and the home's folders. Files go first, while the store still
    says where they are; the key goes with the rows; then the store's own file is written anew, so that nothing of what
    was deleted stands in its free pages or its log."""

    def __init__(
        self,
        store: Store,
        *,
        lake: Lake,
        objects: Objects,
        folders: Folders,
        forget: Sequence[Callable[[str], None]] = (),
        drop: Sequence[Callable[[str], Awaitable[None]]] = (),
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self._lake = lake
        self._objects = objects
        self._folders = folders
        self._forget = forget
        self._drops = drop
        self._clock = clock

    @property
    def steps(self) -> Mapping[str, Step]:
        """What is done, in order."""
        return {
            "begun": self.begin,
            "tables": self.remove_tables,
            "results": self.remove_objects,
            "indexes": self.remove_indexes,
            "files": self.remove_files,
            "rows and key": self.remove_rows,
            "store rewritten": self.compact,
        }

    async def run(self, tenant: str) -> AsyncIterator[tuple[str, Purged]]:
        """Do every step; yields its name and what it removed. Raises NotFound, Conflict."""
        for name, step in self.steps.items():
            yield name, await step(tenant)

    async def begin(self, tenant: str) -> Purged:
        """Mark the tenant, so that it is not restored from here on. Raises NotFound, Conflict unless archived."""
        if tenant == DEFAULT_TENANT:
            raise Conflict("The first tenant is the platform's own.", hint="Delete the home instead.")

        def work(connection: Connection) -> None:
            row = connection.execute(select(T.archived_at, T.tier).where(T.tenant_id == tenant)).first()
            if row is None:
                raise NotFound(f"No tenant {tenant[:64]!r}.", hint="list_tenants shows them.")
            if row.archived_at is None:
                raise Conflict("The tenant is not archived.", hint="delete_tenant archives it; then it can be purged.")
            connection.execute(update(tenants).where(T.tenant_id == tenant).values(tier=PURGED))

        await self._store.write(work)
        self._drop(tenant)
        return Purged()

    def _drop(self, tenant: str) -> None:
        """What this process still remembers; others forget within seconds."""
        for forget in self._forget:
            forget(tenant)

    async def remove_tables(self, tenant: str) -> Purged:
        """Empty every place that the tenant's lakehouse has been at."""
        if await self._is_keyless(tenant):
            return Purged()
        places = await self._store.read(lambda connection: named_places(connection, tenant))
        return await asyncio.to_thread(self._remove_tables_now, tenant, places)

    def _remove_tables_now(self, tenant: str, places: Sequence[str]) -> Purged:
        site = self._lake.site(tenant)
        if not site.is_embedded:  # the catalog is not in a file of ours: it must be told
            for name in self._lake.locations(tenant):
                self._lake.commit_now(tenant, lambda catalog, name=name: catalog.drop_table(name))  # type: ignore[misc]
        found = Purged()
        if site.is_remote:
            storage = self._lake.storage(tenant)
            left = list(storage.walk(site.root))
            storage.remove_tree(site.root)
            found += Purged(files=len(left))
        local = [site.root, str(site.home), *places]
        for place in {item for item in local if not is_remote(item)}:
            found += _remove(Path(place.removeprefix("file://")))
        return found

    async def remove_objects(self, tenant: str) -> Purged:
        """Delete results and exports, wherever they are kept."""
        count = 0
        for kind in ("results", "exports"):
            async for item in self._objects.list(f"{kind}/{tenant}/"):
                await self._objects.delete(item)
                count += 1
        return Purged(files=count)

    async def remove_indexes(self, tenant: str) -> Purged:
        """Have other parts delete what they keep elsewhere: each can do so again."""
        for drop in self._drops:
            await drop(tenant)
        return Purged()

    async def remove_files(self, tenant: str) -> Purged:
        """Delete uploads, kept results, rejected rows and what its jobs have left."""
        wanted = select(jobs.c.job_id).where(jobs.c.tenant_id == tenant)
        job_ids = await self._store.read(lambda connection: list(connection.execute(wanted).scalars()))
        folders = [*self._folders.of(tenant), *map(self._folders.of_job, job_ids)]
        return sum([await asyncio.to_thread(_remove, folder) for folder in folders], Purged())

    async def remove_rows(self, tenant: str) -> Purged:
        """Delete every row but the audit's, and the tenant's key: what was sealed with it stays unreadable."""

        def work(connection: Connection) -> int:
            count = 0
            for table in tables_of(but=KEPT):
                count += connection.execute(delete(table).where(rows_of(table, tenant))).rowcount
            blank = {"name": PURGED, "name_key": "", "configuration": "{}", "suspended_reason": "", "wrapped_key": b""}
            connection.execute(
                update(tenants)
                .where(T.tenant_id == tenant)
                .values(version=T.version + 1, updated_at=self._clock(), **blank)
            )
            return count

        removed = Purged(rows=await self._store.write(work))
        self._drop(tenant)
        return removed

    async def compact(self, tenant: str) -> Purged:
        """Write the store's file anew. Where others are using it just then, it says that it was not done."""
        try:
            return Purged(is_compacted=await asyncio.to_thread(self._store.compact))
        except PlatformError:
            return Purged(is_compacted=False)

    async def left(self, tenant: str) -> dict[str, int]:
        """Rows that are still there, by table: none after a purge."""

        def work(connection: Connection) -> dict[str, int]:
            counts = {}
            for table in tables_of(but=KEPT):
                count = select(func.count()).select_from(table).where(rows_of(table, tenant))
                counts[table.name] = int(connection.scalar(count) or 0)
            return {name: count for name, count in counts.items() if count}

        return await self._store.read(work)

    async def _is_keyless(self, tenant: str) -> bool:
        key = await self._store.read(lambda c: c.scalar(select(T.wrapped_key).where(T.tenant_id == tenant)))
        return not key


def _remove(folder: Path) -> Purged:
    sizes = [path.stat().st_size for path in files_below(folder)]
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise Conflict("A folder of the tenant's cannot be deleted.", hint="Have the operator look at its permissions.")
    return Purged(files=len(sizes), size_bytes=sum(sizes))
