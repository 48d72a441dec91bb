"""Assets: what a tenant registers beside its tables, such as documents, each seen by its tenant or by its owner."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, NotFound
from core.pages import Window
from engine.projects.projects import Projects
from engine.store.db import Store
from engine.store.tables import assets, passages

Visibility = Literal["tenant", "private"]
MAX_ASSETS = 20_000
MAX_TAGS = 50
STEWARD = "tenant.manage"  # sees private assets too, and may take them away
C = assets.c


@dataclass(frozen=True, slots=True)
class Content:
    """A file that was attached, as far as it is known."""

    name: str = ""
    format: str = ""
    size_bytes: int = 0
    sha256: str = ""
    page_count: int = 0
    passage_count: int = 0
    attached_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Asset:
    """Something registered. `content_version` rises with every file that is attached; 0 is none."""

    tenant: str
    asset_id: str
    name: str
    kind: str
    description: str
    uri: str
    details: Mapping[str, str]
    tags: Sequence[str]
    visibility: Visibility
    owner: str
    project_id: str | None
    content_version: int
    content: Content
    version: int
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Draft:
    """What is registered, or changed; None leaves a field as it is, an empty `project_id` takes it out."""

    name: str | None = None
    kind: str | None = None
    description: str | None = None
    uri: str | None = None
    details: Mapping[str, str] | None = None
    tags: Sequence[str] | None = None
    visibility: Visibility | None = None
    project_id: str | None = None

    def values(self) -> dict[str, Any]:
        """The columns to write."""
        plain = {
            name: value
            for name in ("name", "kind", "description", "uri", "visibility")
            if (value := getattr(self, name)) is not None
        }
        if self.details is not None:
            plain["details"] = json.dumps(dict(self.details), sort_keys=True)
        if self.tags is not None:
            plain["tags"] = json.dumps(_tags(self.tags))
        if self.project_id is not None:
            plain["project_id"] = self.project_id or None
        return plain


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which assets; what is empty leaves nothing out."""

    kind: str = ""
    tag: str = ""
    project_id: str = ""


class Assets:
    """Every tenant's assets, as each caller may see them."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        max_assets: int = MAX_ASSETS,
    ):
        self._store = store
        self._projects = Projects(store)
        self._clock = clock
        self._new_id = new_id
        self._max_assets = max_assets

    async def create(self, by: Principal, draft: Draft, *, asset_id: str | None = None) -> Asset:
        """Raises Conflict when the id is taken or the tenant has too many, NotFound for a project."""
        await self._check_project(by, draft)
        now, asset_id = self._clock(), asset_id or self._new_id()
        blank = {"kind": "document", "description": "", "uri": "", "details": "{}", "tags": "[]"}
        row = {
            **blank,
            "visibility": "tenant",
            **draft.values(),
            "tenant_id": by.tenant,
            "asset_id": asset_id,
            "owner": by.subject,
            "content_version": 0,
            "content": "{}",
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }

        def work(connection: Connection) -> Any:
            count = select(func.count()).select_from(assets).where(C.tenant_id == by.tenant)
            if connection.execute(count).scalar_one() >= self._max_assets:
                raise Conflict(f"The tenant has {self._max_assets:,} assets.", hint="delete_asset removes old ones.")
            connection.execute(insert(assets).values(**row))
            return connection.execute(select(assets).where(is_asset(by.tenant, asset_id))).one()

        try:
            return read_asset(await self._store.write(work))
        except IntegrityError:
            raise Conflict(f"The asset id {asset_id!r} is taken.", hint="Choose another.") from None

    async def get(self, by: Principal, asset_id: str) -> Asset:
        """An asset that the caller may see. Raises NotFound, the same for one that is hidden and for none."""
        query = select(assets).where(is_asset(by.tenant, asset_id), seen_by(by))
        row = await self._store.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise NotFound(f"No asset {asset_id[:64]!r}.", hint="list_assets shows those you can see.")
        return read_asset(row)

    async def page(self, by: Principal, window: Window, wanted: Wanted) -> tuple[list[Asset], int]:
        """A slice of what the caller sees, the oldest first, and how many there are."""
        condition = [C.tenant_id == by.tenant, seen_by(by)]
        if wanted.kind:
            condition.append(C.kind == wanted.kind)
        if wanted.project_id:
            condition.append(C.project_id == wanted.project_id)
        if wanted.tag:
            # Not LIKE, which is blind to case on SQLite alone.
            condition.append(func.replace(C.tags, json.dumps(wanted.tag), "") != C.tags)
        count = select(func.count()).select_from(assets).where(*condition)
        query = select(assets).where(*condition).order_by(C.created_at, C.asset_id)
        query = query.offset(window.offset).limit(window.size)

        def work(connection: Connection) -> tuple[list[Asset], int]:
            return [read_asset(row) for row in connection.execute(query)], connection.execute(count).scalar_one()

        return await self._store.read(work)

    async def update(self, by: Principal, asset_id: str, draft: Draft, *, version: int | None = None) -> Asset:
        """Change what the draft gives. Raises NotFound, Conflict when `version` is no longer the present one."""
        await self._check_project(by, draft)
        return await self._change(await self.get(by, asset_id), draft.values(), version)

    async def tag(self, by: Principal, asset_id: str, add: Sequence[str], remove: Sequence[str]) -> Asset:
        """Put tags on and take others off. Raises NotFound, Conflict."""
        found = await self.get(by, asset_id)
        tags = [tag for tag in (*found.tags, *add) if tag not in remove]
        return await self._change(found, {"tags": json.dumps(_tags(tags))}, None)

    async def delete(self, by: Principal, asset_id: str) -> None:
        """Delete an asset with all that was read from its file. Raises NotFound."""
        found = await self.get(by, asset_id)

        def work(connection: Connection) -> None:
            gone = and_(passages.c.tenant_id == found.tenant, passages.c.asset_id == found.asset_id)
            connection.execute(delete(passages).where(gone))
            connection.execute(delete(assets).where(is_asset(found.tenant, found.asset_id)))

        await self._store.write(work)

    async def _change(self, found: Asset, values: dict[str, Any], version: int | None) -> Asset:
        if version is not None and version != found.version:
            raise _stale()
        is_same = and_(is_asset(found.tenant, found.asset_id), C.version == found.version)
        changed = update(assets).where(is_same).values(**values, version=found.version + 1, updated_at=self._clock())

        def work(connection: Connection) -> Any:
            if connection.execute(changed).rowcount != 1:
                return None
            return connection.execute(select(assets).where(is_asset(found.tenant, found.asset_id))).one()

        row = await self._store.write(work)
        if row is None:
            raise _stale()
        return read_asset(row)

    async def _check_project(self, by: Principal, draft: Draft) -> None:
        if draft.project_id:
            await self._projects.own(by, draft.project_id)


def is_asset(tenant: str, asset_id: str) -> ColumnElement[bool]:
    return and_(C.tenant_id == tenant, C.asset_id == asset_id)


def seen_by(by: Principal) -> ColumnElement[bool]:
    """What exists for the caller: what their tenant shares, what is their own, and for a steward everything."""
    if by.may(STEWARD) and by.via != "agent":
        return C.tenant_id == by.tenant
    return and_(C.tenant_id == by.tenant, or_(C.visibility == "tenant", C.owner == by.subject))


def read_asset(row: Any) -> Asset:
    return Asset(
        tenant=row.tenant_id,
        asset_id=row.asset_id,
        name=row.name,
        kind=row.kind,
        description=row.description,
        uri=row.uri,
        details=json.loads(row.details),
        tags=json.loads(row.tags),
        visibility=row.visibility,
        owner=row.owner,
        project_id=row.project_id,
        content_version=row.content_version,
        content=Content(**json.loads(row.content)),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _tags(tags: Sequence[str]) -> list[str]:
    found = sorted(set(tags))
    if len(found) > MAX_TAGS:
        raise Conflict(f"An asset has at most {MAX_TAGS} tags.", hint="Take some off first.")
    return found


def _stale() -> Conflict:
    return Conflict("Somebody has changed the asset since.", hint="Read it again with get_asset.")
