"""Documents: files read into passages, which are sealed at rest, searched by those who see their asset, and cited."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select, tuple_, update

from core.context import Cancellation, Principal
from core.errors import Conflict, QuotaExceeded
from core.pages import Window
from engine.documents.assets import Asset, Assets, Content, is_asset, read_asset, seen_by
from engine.documents.blocks import Passage
from engine.documents.extraction import Report, check_size, extract
from engine.retrieval.source import Entry, Kind
from engine.store.db import Store
from engine.store.tables import assets, passages
from engine.transfer.uploads import Uploads

Transform = Callable[[str, bytes, bytes], bytes]
"""Seals or opens bytes for a tenant; the last argument names what the bytes belong to."""

MAX_TENANT_PASSAGES = 50_000
BATCH = 2_000
READ_PERMISSION = "assets.read"
GAP = "\t"
A, P = assets.c, passages.c


@dataclass(frozen=True, slots=True)
class Cited:
    """A passage with where it stands."""

    asset: Asset
    number: int
    passage: Passage


class Documents:
    """Attaches files to assets, and is the index's source of passages."""

    name = "documents"
    kinds: frozenset[Kind] = frozenset(("document",))

    def __init__(
        self,
        store: Store,
        *,
        uploads: Uploads,
        seal: Transform,
        unseal: Transform,
        clock: Callable[[], float] = time.time,
        max_passages: int = MAX_TENANT_PASSAGES,
    ):
        self._store = store
        self._uploads = uploads
        self._seal = seal
        self._unseal = unseal
        self._clock = clock
        self._max_passages = max_passages
        self.assets = Assets(store, clock=clock)

    async def attach(
        self,
        by: Principal,
        asset_id: str,
        upload_id: str,
        *,
        format: str = "",  # noqa: A002 - what the tool calls it
        cancelled: Cancellation,
        report: Report,
    ) -> Asset:
        """Read an upload of the caller's own into an asset's passages, in place of those that it had.

        All of them change at once; run again it does the same. Raises NotFound, Conflict, QuotaExceeded."""
        found = await self.assets.get(by, asset_id)
        upload, path = await self._uploads.source(by, upload_id)
        check_size(upload.size_bytes)
        extracted = await extract(path, upload.name, format, cancelled, report)
        sealed = await asyncio.to_thread(self._seal_all, found, extracted.passages)
        content = Content(
            name=upload.name,
            format=extracted.format,
            size_bytes=upload.size_bytes,
            sha256=upload.sha256,
            page_count=extracted.page_count,
            passage_count=len(sealed),
            attached_at=self._clock(),
        )
        return await self._keep(found, content, sealed)

    async def page(self, by: Principal, asset_id: str, window: Window) -> tuple[Asset, list[Cited], int]:
        """An asset's passages in order, a slice of them, and how many there are. Raises NotFound."""
        found = await self.assets.get(by, asset_id)
        mine = and_(P.tenant_id == found.tenant, P.asset_id == found.asset_id)
        query = select(passages).where(mine).order_by(P.number).offset(window.offset).limit(window.size)
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        return found, [self._cited(found, row) for row in rows], found.content.passage_count

    async def version(self, tenant: str) -> str:
        query = select(func.count(), func.sum(A.version), func.max(A.updated_at)).where(
            A.tenant_id == tenant, A.content_version > 0
        )
        row = await self._store.read(lambda connection: connection.execute(query).one())
        return ":".join(map(str, row))

    async def entries(self, tenant: str) -> AsyncIterator[Entry]:
        known = select(assets).where(A.tenant_id == tenant, A.content_version > 0)
        rows = await self._store.read(lambda connection: connection.execute(known).all())
        owners = {row.asset_id: read_asset(row) for row in rows}
        key = (P.asset_id, P.number)
        query = select(passages).where(P.tenant_id == tenant).order_by(*key).limit(BATCH)
        batch = query
        while True:
            rows = await self._store.read(lambda connection, batch=batch: connection.execute(batch).all())  # type: ignore[misc]
            for entry in await asyncio.to_thread(self._entries, owners, rows):
                yield entry
            if len(rows) < BATCH:
                return
            batch = query.where(tuple_(*key) > tuple_(rows[-1].asset_id, rows[-1].number))

    async def show(self, principal: Principal, refs: Sequence[str]) -> Mapping[str, Entry]:
        if not principal.may(READ_PERMISSION):
            return {}
        cited = await self.cited(principal, refs)
        return {ref: _entry(item) for ref, item in cited.items()}

    async def cited(self, by: Principal, refs: Sequence[str]) -> dict[str, Cited]:
        """The passages of these refs whose assets the caller sees now."""
        places = {ref: place for ref in refs if (place := _place(ref))}
        found: dict[str, Cited] = {}
        if not places:
            return found
        wanted = sorted({asset_id for asset_id, _ in places.values()})
        by_place = {place: ref for ref, place in places.items()}
        seen = select(assets).where(seen_by(by), A.asset_id.in_(wanted))
        held = select(passages).where(P.tenant_id == by.tenant, tuple_(P.asset_id, P.number).in_(sorted(by_place)))

        def work(connection: Connection) -> tuple[Sequence[Any], Sequence[Any]]:
            return connection.execute(seen).all(), connection.execute(held).all()

        owners, rows = await self._store.read(work)
        known = {row.asset_id: read_asset(row) for row in owners}
        for row in rows:
            if row.asset_id in known:
                found[by_place[row.asset_id, row.number]] = self._cited(known[row.asset_id], row)
        return {ref: found[ref] for ref in refs if ref in found}

    def archived(self, tenant: str) -> Iterator[bytes]:
        """Every passage as a line of JSON, for an archive of the tenant. Blocking."""
        key = (P.asset_id, P.number)
        query = select(passages).where(P.tenant_id == tenant).order_by(*key).limit(BATCH)
        batch = query
        while rows := self._store.read_now(lambda connection, batch=batch: connection.execute(batch).all()):  # type: ignore[misc]
            for row in rows:
                data = json.loads(self._unseal(tenant, row.sealed, _name(row.asset_id, row.number)))
                place = {"asset_id": row.asset_id, "number": row.number, "page": row.page}
                yield json.dumps({**place, **data}, ensure_ascii=False).encode() + b"\n"
            batch = query.where(tuple_(*key) > tuple_(rows[-1].asset_id, rows[-1].number))

    def _seal_all(self, asset: Asset, found: Sequence[Passage]) -> list[tuple[int, bytes]]:
        sealed = []
        for number, passage in enumerate(found, start=1):
            data = json.dumps({"text": passage.text, "headings": passage.headings}, ensure_ascii=False)
            name = _name(asset.asset_id, number)
            sealed.append((passage.page, self._seal(asset.tenant, data.encode("utf-8", "replace"), name)))
        return sealed

    async def _keep(self, asset: Asset, content: Content, sealed: Sequence[tuple[int, bytes]]) -> Asset:
        def work(connection: Connection) -> Any:
            now = connection.execute(select(assets).where(is_asset(asset.tenant, asset.asset_id))).first()
            if now is None:
                return None
            others = select(func.count()).where(P.tenant_id == asset.tenant, P.asset_id != asset.asset_id)
            if connection.execute(others).scalar_one() + len(sealed) > self._max_passages:
                raise QuotaExceeded(
                    f"The tenant's documents have more than {self._max_passages:,} passages.",
                    hint="delete_asset removes those that are no longer needed.",
                )
            mine = and_(P.tenant_id == asset.tenant, P.asset_id == asset.asset_id)
            connection.execute(delete(passages).where(mine))
            version = now.content_version + 1
            base = {"tenant_id": asset.tenant, "asset_id": asset.asset_id, "content_version": version}
            rows = [
                {**base, "number": number, "page": page, "sealed": data}
                for number, (page, data) in enumerate(sealed, start=1)
            ]
            connection.execute(insert(passages), rows)
            values = {"content_version": version, "content": json.dumps(asdict(content)), "version": now.version + 1}
            changed = update(assets).where(is_asset(asset.tenant, asset.asset_id))
            connection.execute(changed.values(**values, updated_at=self._clock()))
            return connection.execute(select(assets).where(is_asset(asset.tenant, asset.asset_id))).one()

        row = await self._store.write(work)
        if row is None:
            raise Conflict("The asset was deleted meanwhile.", hint="create_asset makes another.")
        return read_asset(row)

    def _entries(self, owners: Mapping[str, Asset], rows: Iterable[Any]) -> list[Entry]:
        return [_entry(self._cited(owners[row.asset_id], row)) for row in rows if row.asset_id in owners]

    def _cited(self, asset: Asset, row: Any) -> Cited:
        data = json.loads(self._unseal(asset.tenant, row.sealed, _name(asset.asset_id, row.number)))
        return Cited(asset, row.number, Passage(data["text"], row.page, tuple(data["headings"])))


def passage_ref(asset_id: str, number: int) -> str:
    return f"{asset_id}{GAP}{number}"


def _place(ref: str) -> tuple[str, int] | None:
    asset_id, _, number = ref.partition(GAP)
    return (asset_id, int(number)) if number.isdigit() else None


def _name(asset_id: str, number: int) -> bytes:
    return f"{asset_id}/{number}".encode()


def _entry(item: Cited) -> Entry:
    title = " / ".join((item.asset.name, *item.passage.headings))
    return Entry(
        "document",
        passage_ref(item.asset.asset_id, item.number),
        title,
        item.passage.text,
        also=tuple(item.asset.tags),
        page=item.passage.page,
    )
