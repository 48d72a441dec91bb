"""Without the wheel of DuckDB's Iceberg extension, the lakehouse says what to install, and all else works."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headwater.listeners import Ports
from tests.faces.served import Served
from tests.hostile.wire import Doors, problems

HIDDEN = "duckdb_extension_iceberg"
NO_SITE = "import sys\nsys.path[:] = [entry for entry in sys.path if not entry.endswith('site-packages')]\n"
"""For the data plane, which this process starts with its own site-packages."""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def crippled(house: Served, tmp_path: Path) -> Iterator[Served]:
    """The same home, served by a process that cannot find the extension."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        if not found.name.startswith(HIDDEN):
            (packages / found.name).symlink_to(found)
    (packages / "sitecustomize.py").write_text(NO_SITE)
    script = Path(__file__).with_name("serve_without.py")
    command = [sys.executable, "-S", str(script), str(house.platform.settings.home)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(packages)))}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as program:
        assert program.stdin is not None and program.stdout is not None
        ports = Ports(**json.loads(program.stdout.readline()))
        yield replace(house, ports=ports)
        program.stdin.close()
        program.wait(20)


def test_a_missing_extension_is_named_on_every_face_and_the_rest_works(house: Served, crippled: Served) -> None:
    doors, token = Doors.of(crippled), house.tokens["viewer"]
    try:
        for face in ("rest", "mcp", "grpc", "grpc_web"):
            assert doors[face].call("health", {}, token).code == "OK"
            assert doors[face].call("list_tables", {}, token).code == "OK"
            reply = doors[face].call("execute_query", {"sql": "SELECT count(*) FROM shop.orders"}, token)
            assert problems(reply, house, allowed=("UNAVAILABLE",)) == [], face
            assert "duckdb-extension-iceberg==" in reply.text and "pip install" in reply.text
    finally:
        doors.close()
