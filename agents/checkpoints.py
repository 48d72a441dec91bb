"""Checkpoints of graphs, sealed with the tenant's key: in a SQLite file beside the store, or in its PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect, select, text

from engine.context import Ctx
from engine.runs.run import Run
from engine.store.db import Store
from engine.store.tables import runs

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

FILE_NAME = "checkpoints.db"
CIPHER = "tenant"


class TenantCipher:
    """Seals what a checkpoint holds: once the tenant's key is gone, so is it."""

    def __init__(self, ctx: Ctx, tenant: str):
        self._runs = ctx.engine.runs
        self._tenant = tenant

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return CIPHER, self._runs.seal(self._tenant, plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return self._runs.unseal(self._tenant, ciphertext)


def thread_of(run: Run) -> dict[str, Any]:
    """The configuration under which a run's checkpoints are kept: its tenant and a random id, no more."""
    return {"configurable": {"thread_id": f"{run.tenant}/{run.uid}"}, "recursion_limit": 60}


@asynccontextmanager
async def open_checkpoints(ctx: Ctx, tenant: str) -> "AsyncIterator[BaseCheckpointSaver[Any]]":
    """Where a tenant's graphs keep their checkpoints."""
    from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    serde = EncryptedSerializer(TenantCipher(ctx, tenant), JsonPlusSerializer())
    store = ctx.engine.store
    if store.dialect == "sqlite":
        import aiosqlite
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        path = _file_of(store)
        async with aiosqlite.connect(path, timeout=15) as connection:
            yield AsyncSqliteSaver(connection, serde=serde)
        return
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    url = store.url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with AsyncPostgresSaver.from_conn_string(url, serde=serde) as saver:
        await saver.setup()
        yield saver


async def prune_checkpoints(store: Store) -> int:
    """Delete checkpoints of runs that have ended or are gone: of a process that was killed in its last moment, or of
    runs that nobody went on with. Says how many runs."""
    alive = await store.read(
        lambda connection: set(connection.scalars(select(runs.c.uid).where(runs.c.finished_at.is_(None))))
    )
    if store.dialect != "sqlite":
        return await store.write(lambda connection: _prune_here(connection, alive))
    if not _file_of(store).exists():
        return 0
    import aiosqlite

    async with aiosqlite.connect(_file_of(store), timeout=15) as connection:
        if not list(await connection.execute_fetchall("SELECT 1 FROM sqlite_master WHERE name = 'writes'")):
            return 0
        rows = await connection.execute_fetchall("SELECT DISTINCT thread_id FROM checkpoints")
        dead = [row[0] for row in rows if row[0].rpartition("/")[2] not in alive]
        for table in ("checkpoints", "writes"):
            await connection.executemany(f"DELETE FROM {table} WHERE thread_id = ?", [(name,) for name in dead])  # noqa: S608
        await connection.commit()
    return len(dead)


def _prune_here(connection: Connection, alive: set[str]) -> int:
    if not inspect(connection).has_table("checkpoints"):
        return 0
    threads = connection.scalars(text("SELECT DISTINCT thread_id FROM checkpoints"))
    dead = [{"name": name} for name in threads if name.rpartition("/")[2] not in alive]
    for table in ("checkpoints", "checkpoint_writes", "checkpoint_blobs"):
        if dead:
            connection.execute(text(f"DELETE FROM {table} WHERE thread_id = :name"), dead)  # noqa: S608
    return len(dead)


def _file_of(store: Store) -> Path:
    return Path(store.url.database or "").with_name(FILE_NAME)
