"""Serves a home with the packages of PYTHONPATH alone: started with `python -S`, so that nothing else is found.

Usage: serve_without.py HOME. Prints its ports as JSON and serves until standard input ends."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

from headwater.serve import serving
from headwater.settings import read_settings

FREE = {"rest_port": 0, "grpc_web_port": 0, "mcp_port": 0, "grpc_port": 0, "admin_port": 0}


async def main() -> None:
    async with serving(read_settings(Path(sys.argv[1]), server=FREE)) as (_, ports):
        sys.stdout.write(json.dumps(asdict(ports)) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
