"""What results and exports stand on."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from engine.results.objects import Objects
from engine.results.sight import Look
from engine.store.db import Store

Transform = Callable[[str, bytes, bytes], bytes]
"""Seals or opens bytes for a tenant; the last argument names what the bytes belong to."""

KeepFor = Callable[[str], Awaitable[float]]
"""For how many seconds a tenant keeps its results."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What results and exports stand on."""

    store: Store
    objects: Objects
    seal: Transform
    unseal: Transform
    look: Look
    keep_s: KeepFor
    max_bytes: int
    clock: Callable[[], float] = time.time
