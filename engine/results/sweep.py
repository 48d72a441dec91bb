"""Sweeps the store of results: what has expired, and what killed or failed runs have left."""

import re

from engine.results.manifests import EXPORTS, RESULTS, expired, forget, is_wanted
from engine.results.objects import Found
from engine.results.shelf import Shelf

BATCH = 500
_PATH = re.compile(r"(results|exports)/([^/]+)/([^/]+)/([0-9]+)\.[a-z.]+")


async def sweep(shelf: Shelf) -> int:
    """Delete what nobody can read any more; says how many objects. Several processes may do it at once."""
    for kind in (RESULTS, EXPORTS):
        while found := await expired(shelf.store, kind, shelf.clock(), BATCH):
            for tenant, object_id, _ in found:
                await forget(shelf.store, kind, tenant, object_id)  # its bytes are an orphan's from here on
    count = 0
    for kind in (RESULTS, EXPORTS):
        async for item in shelf.objects.list(f"{kind}/"):
            if await _is_orphan(shelf, kind, item):
                await shelf.objects.delete(item)
                count += 1
    return count


async def _is_orphan(shelf: Shelf, kind: str, item: Found) -> bool:
    parts = _PATH.fullmatch(item.path)
    if parts is None:  # not ours
        return False
    tenant, object_id, fence = parts[2], parts[3], int(parts[4])
    return not await is_wanted(shelf.store, kind, tenant, object_id, item.path, fence)
