"""`headwater serve` around the tools of the benchmarks.

`python -m bench._server tools` serves the product's tools and those of `bench._tools` on every face;
`python -m bench._server generated N` serves N tools of ordinary size instead."""

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench._platform import caller, registry_of, settings_of
from core.registry import Registry
from headwater.loops import run_fast
from headwater.serve import serving


async def serve(registry: Registry) -> None:
    """Serve every face until the process that asked for it is gone."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(settings_of(Path(folder)), registry=registry) as (platform, ports):
            facts = {**asdict(ports), "token": await caller(platform), "data": str(Path(folder) / "data")}
            print(json.dumps(facts), flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    run_fast(serve(registry_of(*sys.argv[1:])))
