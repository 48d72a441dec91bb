"""What results and exports stand on."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.results.objects import Objects
from engine.results.sight import Look
from engine.store.db import Store

Transform = Callable[[str, bytes, bytes], bytes]
"""Seals or opens bytes for a tenant; the last argument names what the bytes belong to."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What results and exports stand on."""

    store: Store
    objects: Objects
    seal: Transform
    unseal: Transform
    look: Look
    keep_s: float
    max_bytes: int
    clock: Callable[[], float] = time.time
