"""Charts are drawn by a process of its own, which is gone when the answer is there."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from core.errors import Unavailable
from engine.charts.pictures import draw

BARS: dict[str, Any] = {
    "width": 200,
    "height": 100,
    "data": {"values": [{"x": number, "y": number % 7} for number in range(50)]},
    "mark": "bar",
    "encoding": {"x": {"field": "x", "type": "ordinal"}, "y": {"field": "y", "type": "quantitative"}},
}


def painters() -> list[int]:
    """The painting processes that this one has started and that live."""
    mine = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in mine if b"engine.charts.painter" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_others_go_on_while_a_chart_is_drawn() -> None:
    drawing, turns = asyncio.create_task(draw(BARS)), 0
    while not drawing.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert (await drawing).startswith(b"\x89PNG\r\n\x1a\n")
    assert turns > 10
    assert painters() == []


async def test_a_drawing_that_takes_too_long_is_ended() -> None:
    with pytest.raises(Unavailable, match="too long"):
        await draw(BARS, patience_s=0.05)
    assert painters() == []


async def test_a_caller_who_goes_away_leaves_no_process() -> None:
    drawing = asyncio.create_task(draw(BARS))
    while not painters():
        await asyncio.sleep(0.005)
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert painters() == []


async def test_what_cannot_be_drawn_says_so() -> None:
    with pytest.raises(Unavailable, match="could not be drawn"):
        await draw({**BARS, "mark": "no such mark"})
