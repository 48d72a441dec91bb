"""A worker process on a home, which kills itself with SIGKILL at a named point of its first import."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from engine.transfer import importing
from engine.transfer.imports import Imports
from headwater.build import build
from headwater.settings import read_settings
from tests.fixtures_results import FREE


def die(*arguments: Any, **named: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Replace one step by one that dies before or after it."""
    steps: Any = importing
    real_commit, real_write = steps.commit, steps.write_rows

    def commit_and_die(*arguments: Any, **named: Any) -> None:
        real_commit(*arguments, **named)
        die()

    def write_and_die(*arguments: Any, **named: Any) -> None:
        real_write(*arguments, **named)
        die()

    if point == "written":
        steps.write_rows = write_and_die
    elif point == "committing":
        steps.commit = die
    elif point == "committed":
        steps.commit = commit_and_die
    elif point == "keeping":
        parts: Any = Imports
        parts._keep = die


async def main(home: Path, point: str) -> None:
    platform = await build(read_settings(home, server=FREE, jobs={"lease_s": 1.0}))
    arm(point)
    await platform.start_workers(1)
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
