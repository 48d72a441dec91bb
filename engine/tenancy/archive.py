"""All that a tenant has, as one ZIP file that is made on the way: rows as JSON lines, audit, files of tables."""

import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Table, select

from core.context import Principal
from engine.audit.log import AuditLog
from engine.lake.storage import local_path
from engine.lake.warehouse import Lake
from engine.store.db import Store
from engine.store.tables import audit, audit_heads, audit_starts, audit_terms, idempotency, tenants
from engine.tenancy.belongings import Folders, files_below, shown_columns, tables_of

BATCH = 2_000
BLOCK = 2**20
LEFT_OUT = (audit.name, audit_heads.name, audit_starts.name, audit_terms.name, idempotency.name)
CATALOG = "catalog.db"


@dataclass(frozen=True, slots=True)
class Wished:
    """What an archive holds beside the rows."""

    has_tables: bool = True
    has_uploads: bool = True


class Archive:
    """Makes archives of tenants. Secrets, sealed values and hashes are left out; `manifest.json` says which."""

    def __init__(
        self,
        store: Store,
        *,
        lake: Lake,
        audit_log: AuditLog,
        folders: Folders,
        opened: Mapping[str, Callable[[str], Iterator[bytes]]] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        """`opened` makes, by the names of files, what lies sealed in the store and is the tenant's to take along."""
        self._store = store
        self._lake = lake
        self._audit = audit_log
        self._folders = folders
        self._opened = opened or {}
        self._clock = clock

    def pieces(self, tenant: str, wished: Wished, by: Principal) -> Iterator[bytes]:
        """The bytes of the file, for code that is in a thread. Raises PlatformError."""
        sink = _Sink()
        counts: dict[str, int] = {}
        with zipfile.ZipFile(cast(Any, sink), "w", zipfile.ZIP_DEFLATED) as made:
            for table in reversed(tables_of(but=LEFT_OUT)):
                yield from self._write(made, sink, f"store/{table.name}.jsonl", self._rows(table, tenant, counts))
            yield from self._write(made, sink, "audit.jsonl", self._events(tenant, counts))
            for name, lines in self._opened.items():
                yield from self._write(made, sink, name, lines(tenant))
            for name, path in self._files(tenant, wished):
                counts["files"] = counts.get("files", 0) + 1
                yield from self._write(made, sink, name, _blocks(path))
            manifest = json.dumps(self._manifest(tenant, wished, by, counts), indent=1)
            yield from self._write(made, sink, "manifest.json", iter([manifest.encode()]))
        yield sink.take()

    def _write(self, made: zipfile.ZipFile, sink: "_Sink", name: str, parts: Iterator[bytes]) -> Iterator[bytes]:
        with made.open(name, "w", force_zip64=True) as entry:
            for part in parts:
                entry.write(part)
                if sink.size >= BLOCK:
                    yield sink.take()

    def _rows(self, table: Table, tenant: str, counts: dict[str, int]) -> Iterator[bytes]:
        columns, keys = shown_columns(table), list(table.primary_key.columns)
        where = (table.c.tenant_id if "tenant_id" in table.c else tenants.c.tenant_id) == tenant
        query = select(*columns).where(where).order_by(*keys)
        done = 0
        while rows := self._store.read_now(_page(query.offset(done).limit(BATCH))):
            yield b"".join(json.dumps(row, default=str).encode() + b"\n" for row in rows)
            done += len(rows)
        counts[table.name] = done

    def _events(self, tenant: str, counts: dict[str, int]) -> Iterator[bytes]:
        after = 0
        a = audit.c
        while True:
            query = select(a.seq, a.record).where(a.tenant_id == tenant, a.seq > after).order_by(a.seq).limit(BATCH)
            rows = self._store.read_now(_page(query))
            if not rows:
                break
            for row in rows:
                record = self._audit.opened(tenant, bytes(row["record"]))
                if record is not None:
                    values = {name: getattr(record, name) for name in record.__slots__}
                    yield json.dumps({"seq": row["seq"], **values}, default=str).encode() + b"\n"
            after = rows[-1]["seq"]
            counts["audit"] = counts.get("audit", 0) + len(rows)

    def _files(self, tenant: str, wished: Wished) -> Iterator[tuple[str, Path]]:
        if wished.has_uploads:
            uploads = self._folders.home / "uploads" / tenant
            yield from ((f"uploads/{path.relative_to(uploads)}", path) for path in files_below(uploads))
        site = self._lake.site(tenant)
        if wished.has_tables and not site.is_remote:
            folder = local_path(site.root)
            for path in files_below(folder):
                if not path.name.startswith(f"{CATALOG}-"):  # its log and index, which a copy of it needs not
                    yield f"warehouse/{path.relative_to(folder)}", path

    def _manifest(self, tenant: str, wished: Wished, by: Principal, counts: dict[str, int]) -> dict[str, Any]:
        site = self._lake.site(tenant)
        hidden = {table.name: _hidden(table) for table in tables_of(but=LEFT_OUT)}
        return {
            "format": "headwater tenant archive 1",
            "tenant_id": tenant,
            "made_at": self._clock().isoformat(),
            "made_by": by.subject,
            "counts": counts,
            "left_out": {name: columns for name, columns in hidden.items() if columns},
            "tables_in": site.root if site.is_remote else ("warehouse/" if wished.has_tables else None),
            "results": "listed in store/query_result.jsonl and store/query_export.jsonl; their rows are left out",
        }


def _hidden(table: Table) -> list[str]:
    return sorted({column.name for column in table.columns} - {column.name for column in shown_columns(table)})


class _Sink:
    """What a ZIP file is written to: bytes to be taken away as they come. It cannot seek, and is not asked to."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        return None

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts, self.size = [], 0
        return taken


def _page(query: Any) -> Callable[[Connection], list[dict[str, Any]]]:
    return lambda connection: [dict(row) for row in connection.execute(query).mappings()]


def _blocks(path: Path) -> Iterator[bytes]:
    if path.name == CATALOG:
        source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            yield source.serialize()  # as of one moment, whoever commits meanwhile
        finally:
            source.close()
        return
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
