"""Vectors in a ChromaDB server, spoken to over its HTTP interface through the gate for outbound calls.

Its own client is not used: it would bring its own way out. Names of tables and columns, ids and digests go there with
the vectors, never a text."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from core.errors import NotFound, Unavailable
from engine.egress.client import EgressClient
from engine.retrieval.vectors import Broken, Changes, Mark, Place

if TYPE_CHECKING:
    import numpy as np

ROOT = "/api/v2/tenants/default_tenant/databases/default_database/collections"
PREFIX = "headwater"
BATCH = 500
PAGE = 5_000
MAX_ANSWER_BYTES = 64 * 2**20
READ_S, WRITE_S = 5.0, 60.0
HNSW = {"hnsw": {"space": "cosine", "ef_construction": 100, "ef_search": 200}}


class ServedVectors:
    """A collection for each tenant, source and kind, and one that holds the mark."""

    def __init__(self, url: str, egress: EgressClient):
        self._url = url.rstrip("/")
        self._egress = egress
        self._ids: dict[str, str] = {}

    async def mark(self, place: Place) -> Mark | None:
        try:
            found = await self._call("GET", f"/{quote(_name(place))}")
        except NotFound:
            return None
        held = found.get("metadata") or {}
        is_whole = isinstance(held.get("embedder"), str) and isinstance(held.get("version"), str)
        return Mark(held["embedder"], held["version"]) if is_whole else None

    async def digests(self, place: Place) -> Mapping[str, Mapping[str, str]]:
        kinds = [name.removeprefix(f"{_name(place)}.") for name in await self._names(f"{_name(place)}.")]
        return {kind: await self._digests(_name(place, kind)) for kind in kinds}

    @asynccontextmanager
    async def turn(self, place: Place) -> AsyncIterator[bool]:
        """Always: two that write at once write the same, and the mark comes last."""
        yield True

    async def change(self, place: Place, mark: Mark, changes: Changes, *, since: Mark | None) -> bool:
        if since is not None and await self.mark(place) != since:
            return False
        if since is None:
            await self._remove(f"{_name(place)}.")
        for kind, refs in changes.removed.items():
            for start in range(0, len(refs), BATCH):
                await self._on(_name(place, kind), "delete", {"ids": list(refs[start : start + BATCH])})
        for kind, (refs, digests, vectors) in changes.added.items():
            await self._open(_name(place, kind))
            for start in range(0, len(refs), BATCH):
                piece = slice(start, start + BATCH)
                body = {
                    "ids": list(refs[piece]),
                    "embeddings": vectors[piece].tolist(),
                    "metadatas": [{"digest": digest} for digest in digests[piece]],
                }
                await self._on(_name(place, kind), "upsert", body)
        held = await self._open(_name(place))
        metadata = {"embedder": mark.embedder, "version": mark.version}
        await self._call("PUT", f"/{quote(held)}", {"new_metadata": metadata}, timeout_s=WRITE_S)
        return True

    async def nearest(self, place: Place, kind: str, vector: "np.ndarray", count: int) -> list[tuple[str, float]]:
        body = {"query_embeddings": [vector.tolist()], "n_results": count, "include": ["distances"]}
        try:
            found = await self._on(_name(place, kind), "query", body, timeout_s=READ_S)
            return [
                (str(ref), 1.0 - float(distance))
                for ref, distance in zip(found["ids"][0], found["distances"][0], strict=True)
            ]
        except NotFound:
            return []
        except (KeyError, IndexError, TypeError, ValueError):
            raise Broken("The index server did not answer as one.") from None

    def forget(self, tenant: str) -> None:
        """This process holds nothing of a tenant's but names of collections."""
        start = f"{PREFIX}.{tenant}."
        self._ids = {name: held for name, held in self._ids.items() if not name.startswith(start)}

    async def drop(self, tenant: str) -> None:
        self.forget(tenant)
        await self._remove(f"{PREFIX}.{tenant}.")

    async def aclose(self) -> None:
        await self._egress.aclose()

    async def _names(self, start: str) -> list[str]:
        found: list[str] = []
        offset = 0
        while True:
            page = await self._call("GET", f"?limit={PAGE}&offset={offset}")
            if not isinstance(page, list):
                raise Broken("The index server did not answer as one.")
            found += [item["name"] for item in page if str(item.get("name", "")).startswith(start)]
            if len(page) < PAGE:
                return found
            offset += PAGE

    async def _remove(self, start: str) -> None:
        for name in await self._names(start):
            self._ids.pop(name, None)
            await self._call("DELETE", f"/{quote(name)}", timeout_s=WRITE_S)

    async def _digests(self, name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        while True:
            body = {"limit": PAGE, "offset": len(found), "include": ["metadatas"]}
            page = await self._on(name, "get", body)
            for ref, held in zip(page["ids"], page["metadatas"], strict=True):
                found[ref] = str((held or {}).get("digest", ""))
            if len(page["ids"]) < PAGE:
                return found

    async def _open(self, name: str) -> str:
        """The id of a collection, made where there is none."""
        body = {"name": name, "get_or_create": True, "configuration": HNSW}
        made = await self._call("POST", "", body, timeout_s=WRITE_S)
        self._ids[name] = str(made["id"])
        return self._ids[name]

    async def _on(self, name: str, verb: str, body: Mapping[str, Any], *, timeout_s: float = WRITE_S) -> Any:
        """Ask a collection, whose id may be another by now. Raises NotFound where there is none."""
        for _ in range(2):
            known = self._ids.get(name)
            if known is None:
                known = self._ids[name] = str((await self._call("GET", f"/{quote(name)}"))["id"])
            try:
                return await self._call("POST", f"/{quote(known)}/{verb}", body, timeout_s=timeout_s)
            except NotFound:
                self._ids.pop(name, None)
        raise NotFound("There is no such collection.")

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = READ_S
    ) -> Any:
        answer = await self._egress.request(
            method,
            f"{self._url}{ROOT}{path}",
            body=b"" if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
            max_bytes=MAX_ANSWER_BYTES,
            timeout_s=timeout_s,
        )
        if answer.status == 404:
            raise NotFound("There is no such collection.")
        if answer.status >= 300:
            raise Unavailable("The index server refuses what it is asked.", hint="Is it a ChromaDB of version 1?")
        return answer.json() if answer.body.strip() else {}


def _name(place: Place, kind: str = "") -> str:
    parts: Sequence[str] = (PREFIX, place.tenant, place.source, kind)
    return ".".join(part for part in parts if part)
