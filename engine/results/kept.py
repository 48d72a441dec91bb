"""Whole results kept for a while behind a handle: sealed files, read only by the principal they were made for.

The rows of a query are written beside the call that made them, so that it need not wait, and are read only while
their owner sees the tables that were read under the same rules as then."""

import asyncio
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.context import Principal
from core.errors import NotFound, PlatformError
from engine.results.sight import Look, View, digest_sight

if TYPE_CHECKING:
    import pyarrow as pa

LIFETIME_S = 3600.0
MAX_PER_TENANT = 500
MAX_TENANT_BYTES = 512 * 1024 * 1024
MAX_TABLE_BYTES = 8 * 1024 * 1024
MAX_WAITING = 32  # tables that are not yet written; beyond that the oldest are not kept
SWEEP_EVERY_S = 60.0

Transform = Callable[[str, bytes, bytes], bytes]
"""Seals or opens bytes for a tenant; the last argument names what the bytes belong to."""


@dataclass(frozen=True, slots=True)
class KeptResult:
    """A result's JSON, and the tool whose permission a reader still needs."""

    tool: str
    result_json: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.result_json)


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What is known of the rows of a query."""

    tool: str
    connection_id: str
    tables: Sequence[str]
    is_truncated: bool
    column_privacy: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=dict)  # snapshots of tables that were read as they were


@dataclass(frozen=True, slots=True)
class KeptTable:
    """The rows of a query, their columns under unique names, with the facts that bind them."""

    facts: TableFacts
    schema: "pa.Schema"
    batches: "Sequence[pa.RecordBatch]"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Rows on their way to a file; they can be read meanwhile."""

    by: Principal
    table: KeptTable
    view: View
    until: float


class KeptResults:
    """Results as files under one folder, one sub-folder per tenant; the oldest go first."""

    def __init__(
        self,
        folder: Path,
        *,
        seal: Transform,
        unseal: Transform,
        look: Look | None = None,
        clock: Callable[[], float] = time.time,
    ):
        self._folder = folder
        self._seal = seal
        self._unseal = unseal
        self._look = look
        self._clock = clock
        self._swept: dict[str, tuple[float, int]] = {}
        self._waiting: OrderedDict[tuple[str, str], _Waiting] = OrderedDict()
        self._writer: asyncio.Task[None] | None = None

    async def save(self, principal: Principal, tool: str, result_json: bytes) -> str:
        """Keep a result for an hour and return its id, which nobody can guess."""
        result_id = secrets.token_urlsafe(24)
        head = {"subject": principal.subject, "tool": tool, "until": self._clock() + LIFETIME_S}
        await asyncio.to_thread(self._write, principal.tenant, result_id, head, result_json)
        return result_id

    async def load(self, principal: Principal, result_id: str) -> "KeptResult | KeptTable":
        """The result, for its owner while it lasts and may be seen. Raises NotFound otherwise."""
        waiting = self._waiting.get((principal.tenant, result_id))
        if waiting is not None:
            head: dict[str, Any] = _head(waiting, await _sight(waiting))
            found: KeptResult | KeptTable = waiting.table
        else:
            head, found = await asyncio.to_thread(self._read, principal.tenant, result_id)
        if head["subject"] != principal.subject or head["until"] < self._clock():
            raise _gone(result_id)
        if isinstance(found, KeptTable):
            await self._check_sight(principal, found.facts, head["sight"], result_id)
        return found

    def keep(self, by: Principal, query_id: str, table: KeptTable, view: View) -> bool:
        """Keep the rows of a query for an hour under its id, if they are few; `view` is that they were read through.

        It returns at once, and says whether the rows will be there; a crash may still lose them."""
        if self._look is None or sum(batch.nbytes for batch in table.batches) > MAX_TABLE_BYTES:
            return False
        self._waiting[by.tenant, query_id] = _Waiting(by, table, view, self._clock() + LIFETIME_S)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting(), name="kept results")
        return True

    def forget(self, tenant: str) -> None:
        """Drop what is on its way to a tenant's files."""
        for key in [key for key in self._waiting if key[0] == tenant]:
            del self._waiting[key]

    async def close(self) -> None:
        """Wait until everything is written."""
        if self._writer is not None:
            await asyncio.gather(self._writer, return_exceptions=True)

    async def _check_sight(self, by: Principal, facts: TableFacts, sight: str | None, result_id: str) -> None:
        now = None if self._look is None else await _digest(self._look, by, facts)
        if now is None or now != sight:
            raise _gone(result_id)

    async def _write_waiting(self) -> None:
        while self._waiting:
            key, item = next(iter(self._waiting.items()))
            with suppress(PlatformError, OSError):  # a result that cannot be kept was still answered
                head = _head(item, await _sight(item))
                await asyncio.to_thread(self._write_table, key, item.table, head)
            if self._waiting.get(key) is item:
                del self._waiting[key]

    def _write_table(self, key: tuple[str, str], table: KeptTable, head: dict[str, Any]) -> None:
        import pyarrow as pa  # 40 MB that a start does not need

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            for batch in table.batches:
                writer.write_batch(batch.rename_columns(table.schema.names))
        self._write(*key, head | {"facts": asdict(table.facts)}, sink.getvalue().to_pybytes())

    def _write(self, tenant: str, result_id: str, head: dict[str, Any], body: bytes) -> None:
        folder = self._folder / tenant
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sealed = self._seal(tenant, json.dumps(head).encode() + b"\n" + body, result_id.encode())
        self._sweep(tenant, folder, len(sealed))
        partial = folder / f"{result_id}.partial"
        partial.write_bytes(sealed)
        partial.replace(folder / result_id)

    def _read(self, tenant: str, result_id: str) -> "tuple[dict[str, Any], KeptResult | KeptTable]":
        if not result_id.replace("-", "").replace("_", "").isalnum() or len(result_id) > 64:
            raise _gone(result_id)
        try:
            sealed = (self._folder / tenant / result_id).read_bytes()
        except FileNotFoundError:
            raise _gone(result_id) from None
        text, _, body = self._unseal(tenant, sealed, result_id.encode()).partition(b"\n")
        head = json.loads(text)
        if "facts" not in head:
            return head, KeptResult(head["tool"], body)
        import pyarrow as pa

        reader = pa.ipc.open_stream(body)
        return head, KeptTable(TableFacts(**head["facts"]), reader.schema, list(reader))

    def _sweep(self, tenant: str, folder: Path, coming: int) -> None:
        """Delete what has expired, and the oldest beyond the caps."""
        swept_at, since = self._swept.get(tenant, (0.0, 0))
        since += coming
        if self._clock() - swept_at < SWEEP_EVERY_S and since < MAX_TENANT_BYTES // 8:
            self._swept[tenant] = (swept_at, since)
            return
        self._swept[tenant] = (self._clock(), 0)
        kept_bytes, found = 0, [(path, path.stat()) for path in folder.iterdir()]
        for rank, (path, stat) in enumerate(sorted(found, key=lambda item: item[1].st_mtime, reverse=True)):
            kept_bytes += stat.st_size
            is_over = rank >= MAX_PER_TENANT or kept_bytes > MAX_TENANT_BYTES
            if is_over or stat.st_mtime < self._clock() - LIFETIME_S:
                path.unlink(missing_ok=True)


async def _sight(item: _Waiting) -> str | None:
    """The rules that shaped the rows: of the view that they were read through, not of now."""

    async def then(by: Principal, connection_id: str, as_of: str = "", /) -> View:
        return item.view

    return await _digest(then, item.by, item.table.facts)


async def _digest(look: Look, by: Principal, facts: TableFacts) -> str | None:
    return await digest_sight(look, by, facts.connection_id, facts.tables, versions=facts.versions)


def _head(item: _Waiting, sight: str | None) -> dict[str, Any]:
    return {"subject": item.by.subject, "tool": item.table.facts.tool, "until": item.until, "sight": sight}


def _gone(result_id: str) -> NotFound:
    return NotFound(f"No result {result_id[:64]!r}.", hint="Results are kept for an hour; run the call again.")
