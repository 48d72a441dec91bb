"""Pictures of charts: drawn in this process, one at a time, without a network."""

import asyncio
from typing import Any

from core.errors import Unavailable

VEGA_LITE = "5.21"
MAX_PIXELS = 4_000_000
_turn = asyncio.Semaphore(1)


async def draw(spec: dict[str, Any], *, scale: float = 1.5) -> bytes:
    """The chart as PNG. Raises Unavailable."""
    if _names_address(spec):
        raise Unavailable("The chart could not be drawn.", hint="A chart has its values with it and fetches nothing.")
    pixels = spec["width"] * spec["height"] * scale * scale
    scale = scale if pixels <= MAX_PIXELS else scale * (MAX_PIXELS / pixels) ** 0.5
    async with _turn:
        return await asyncio.to_thread(_draw, spec, scale)


def _names_address(node: Any) -> bool:
    """Whether a part names something to fetch; for images the renderer would, whatever it is allowed."""
    if isinstance(node, dict):
        return any(key in ("url", "href") or _names_address(value) for key, value in node.items())
    return isinstance(node, list) and any(map(_names_address, node))


def _draw(spec: dict[str, Any], scale: float) -> bytes:
    try:
        import vl_convert  # a JavaScript engine: 100 MB that a server without charts does not need
    except ImportError:
        raise Unavailable("vl-convert-python is not installed.", hint="pip install vl-convert-python") from None
    try:
        # No address at all is allowed: were a specification ever to name one, it would not be asked.
        return vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=scale, allowed_base_urls=[])
    except ValueError as error:
        raise Unavailable("The chart could not be drawn.", hint="Choose another kind, or fewer columns.") from error
