"""Checkpoints of graphs, sealed with the tenant's key: in a SQLite file beside the store, or in its PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.context import Ctx
from engine.runs.run import Run

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

        path = Path(store.url.database or "").with_name(FILE_NAME)
        async with aiosqlite.connect(path, timeout=15) as connection:
            yield AsyncSqliteSaver(connection, serde=serde)
        return
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    url = store.url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with AsyncPostgresSaver.from_conn_string(url, serde=serde) as saver:
        await saver.setup()
        yield saver
