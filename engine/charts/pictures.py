"""Pictures of charts: each drawn by a process of its own, one at a time, without a network.

The renderer holds the interpreter's lock while it draws; in this process everybody else would wait for it."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from typing import Any

from core.errors import Unavailable
from engine.charts.painter import NOT_INSTALLED

MAX_PIXELS = 4_000_000
PATIENCE_S = 60.0
_turn = asyncio.Semaphore(1)


async def draw(spec: dict[str, Any], *, scale: float = 1.5, patience_s: float = PATIENCE_S) -> bytes:
    """The chart as PNG. Raises Unavailable."""
    if _names_address(spec):
        raise Unavailable("The chart could not be drawn.", hint="A chart has its values with it and fetches nothing.")
    pixels = spec["width"] * spec["height"] * scale * scale
    scale = scale if pixels <= MAX_PIXELS else scale * (MAX_PIXELS / pixels) ** 0.5
    told = json.dumps({"spec": spec, "scale": scale}).encode()
    try:
        async with _turn, asyncio.timeout(patience_s):
            code, png = await _paint(told)
    except TimeoutError:
        raise Unavailable("The chart took too long to draw.", hint="Draw fewer values, or try again.") from None
    if code == NOT_INSTALLED:
        raise Unavailable("vl-convert-python is not installed.", hint="pip install vl-convert-python")
    if code or not png:
        raise Unavailable("The chart could not be drawn.", hint="Choose another kind, or fewer columns.")
    return png


def _names_address(node: Any) -> bool:
    """Whether a part names something to fetch; for images the renderer would, whatever it is allowed."""
    if isinstance(node, dict):
        return any(key in ("url", "href") or _names_address(value) for key, value in node.items())
    return isinstance(node, list) and any(map(_names_address, node))


async def _paint(told: bytes) -> tuple[int, bytes]:
    """Exit code and picture. The process has ended when this returns, or is cancelled."""
    path = os.pathsep.join(filter(None, sys.path))  # an empty part would be the working directory
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "engine.charts.painter"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"LANG": "C.UTF-8", "PYTHONPATH": path},  # none of our settings, which may hold secrets
    )
    try:
        png, _ = await process.communicate(told)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, png
