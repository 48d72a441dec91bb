import subprocess
import sys
from pathlib import Path

from core.settings import Settings
from engine.lake.metadata import local_path
from engine.lake.warehouse import Lake
from headwater.flights import load_flights

KILLED = """
import asyncio, os, sys
from pathlib import Path
from core.settings import Settings
from headwater.flights import load_flights

die = lambda text: os._exit(9) if "week 20 " in text else None
asyncio.run(load_flights(Settings(home=Path(sys.argv[1])), progress=die))
"""


async def test_a_load_that_was_killed_goes_on_without_doubling_a_week_and_then_rests(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path)], timeout=60)
    assert killed.returncode == 9
    half = Lake(tmp_path / "warehouse").tables("default")
    assert 0 < sum(table.metadata.row_count or 0 for table in half) < 200_000

    told: list[str] = []
    await load_flights(Settings(home=tmp_path), progress=told.append)
    assert told[-1] == "loading flights, week 53 of 53"
    tables = {str(table.name): table.metadata for table in Lake(tmp_path / "warehouse").tables("default")}
    assert {name: metadata.row_count for name, metadata in tables.items()} == {
        "flights.airlines": 16,
        "flights.airports": 1458,
        "flights.flights": 336_776,
        "flights.planes": 3322,
        "flights.weather": 26_115,
    }
    assert tables["flights.flights"].snapshot_count == 53
    assert tables["flights.flights"].columns[3].comment == "Departure delay in minutes; negative: early."

    folder = local_path(tables["flights.flights"].location) / "metadata"
    assert len(list(folder.glob("*.metadata.json"))) <= 25  # the current one, twenty before it, and a killed run's

    assert await load_flights(Settings(home=tmp_path)) == 0
