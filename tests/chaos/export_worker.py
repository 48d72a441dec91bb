"""A worker process on a home, for the chaos test of results: it dies whenever it is killed."""

import asyncio
import sys
from pathlib import Path

from headwater.build import build
from headwater.settings import read_settings

LEASE_S = 1.5


async def main(home: str, data: str) -> None:
    platform = await build(
        read_settings(Path(home), query={"allowed_roots": [data]}, jobs={"lease_s": LEASE_S, "max_attempts": 100})
    )
    await platform.start_workers(1)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
