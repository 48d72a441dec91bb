"""The example lakehouse: flights from New York in 2013, loaded in weekly appends so that tables have history."""

import asyncio
import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.settings import Settings
from engine.lake.warehouse import TABLE_DEFAULTS, Lake

if TYPE_CHECKING:  # loaded by the load itself, not by `headwater --help`
    import pyarrow as pa
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table

NAMESPACE = "flights"
WHOLE_TABLES = ("airlines", "airports", "planes", "weather")
FIRST_DAY = date(2013, 1, 1)
WEEKS = 53
LOADED = "headwater.flights.weeks-loaded"  # in the same commit as the rows, so a killed load goes on where it was
WEEK = "headwater.flights.week"

COMMENTS = {
    "flights": {
        "flight_date": "Date of the scheduled departure, local.",
        "dep_time": "Actual departure, HHMM local; null: the flight never left.",
        "sched_dep_time": "Scheduled departure, HHMM local.",
        "dep_delay": "Departure delay in minutes; negative: early.",
        "arr_time": "Actual arrival, HHMM local.",
        "sched_arr_time": "Scheduled arrival, HHMM local.",
        "arr_delay": "Arrival delay in minutes; negative: early.",
        "carrier": "Airline; see airlines.carrier.",
        "flight": "Flight number.",
        "tailnum": "Aircraft; see planes.tailnum.",
        "origin": "Airport of departure: EWR, JFK or LGA.",
        "dest": "Airport of arrival; see airports.faa.",
        "air_time": "Minutes in the air.",
        "distance": "Miles between the airports.",
        "time_hour": "Scheduled hour of departure, UTC; joins with weather.",
    },
    "airlines": {"carrier": "Two-letter code.", "name": "Full name."},
    "airports": {"faa": "FAA code.", "altitude_ft": "Altitude in feet.", "utc_offset_h": "Hours from UTC."},
    "planes": {"tailnum": "Registration.", "year_built": "Year of manufacture.", "speed_mph": "Cruising speed, mph."},
    "weather": {"origin": "Airport of the station.", "time_hour": "Hour of the reading, UTC."},
}


async def load_flights(
    settings: Settings,
    *,
    progress: Callable[[str], object] = lambda text: None,
    tenant: str = "default",
    is_at_once: bool = False,
) -> int:
    """Load what is not there yet and return how many rows that were; 0 when everything was there.

    With `is_at_once` in one append: a table without history, in a tenth of the time."""
    lake = Lake(settings.home / "warehouse")
    try:
        with _alone(lake.tenant_folder(tenant)):
            if await asyncio.to_thread(_is_complete, lake, tenant):
                return 0
            return await _load(lake, tenant, progress, is_at_once=is_at_once)
    finally:
        lake.close()


def data_folder() -> Path:
    """The Parquet files: inside the wheel, or at the root of a checkout."""
    here = Path(__file__).parent
    bundled = here / "app" / "examples" / "flights"
    return bundled if bundled.is_dir() else here.parent / "examples" / "flights"


async def _load(lake: Lake, tenant: str, progress: Callable[[str], object], *, is_at_once: bool) -> int:
    await asyncio.to_thread(lake.create_namespace, tenant, NAMESPACE)
    rows = 0
    for name in (*WHOLE_TABLES, "flights") if is_at_once else WHOLE_TABLES:
        progress(f"loading {name}")
        rows += await lake.commit(tenant, lambda catalog, name=name: _append_whole(catalog, name))  # type: ignore[misc]
    if is_at_once:
        return rows
    flights = await asyncio.to_thread(_read, "flights")
    for week in range(WEEKS):
        progress(f"loading flights, week {week + 1} of {WEEKS}")
        rows += await lake.commit(tenant, lambda catalog, week=week: _append_week(catalog, flights, week))  # type: ignore[misc]
    return rows


def _is_complete(lake: Lake, tenant: str) -> bool:
    """Told from the metadata files alone, so that a second start does not load pyiceberg."""
    found = {str(table.name): table.metadata for table in lake.tables(tenant)}
    names = [f"{NAMESPACE}.{name}" for name in (*WHOLE_TABLES, "flights")]
    return all(name in found and found[name].properties.get(LOADED) == str(WEEKS) for name in names)


def _append_whole(catalog: "SqlCatalog", name: str) -> int:
    rows = _read(name)
    return _append(_table(catalog, name, rows), rows, through=WEEKS)


def _append_week(catalog: "SqlCatalog", flights: "pa.Table", week: int) -> int:
    import pyarrow.compute as pc

    start = FIRST_DAY + timedelta(weeks=week)
    day = flights["flight_date"]
    mask: Any = pc.and_(pc.greater_equal(day, start), pc.less(day, start + timedelta(weeks=1)))  # type: ignore[call-overload]
    return _append(_table(catalog, "flights", flights), flights.filter(mask), through=week + 1)


def _append(table: "Table", rows: "pa.Table", *, through: int) -> int:
    """Append in one commit with the mark that says so; nothing when the mark is already there."""
    if int(table.properties.get(LOADED, "0")) >= through:
        return 0
    with table.transaction() as transaction:
        transaction.append(rows, snapshot_properties={WEEK: str(through)})
        transaction.set_properties({LOADED: str(through)})
    return rows.num_rows


def _table(catalog: "SqlCatalog", name: str, rows: "pa.Table") -> "Table":
    from pyiceberg.exceptions import NoSuchTableError

    try:  # create_table_if_not_exists would write a metadata file before it finds the table, and leave it
        return catalog.load_table((NAMESPACE, name))
    except NoSuchTableError:
        properties = {**TABLE_DEFAULTS, "comment": f"New York flights 2013: {name}"}
        return catalog.create_table((NAMESPACE, name), schema=rows.schema, properties=properties)


def _read(name: str) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(data_folder() / f"{name}.parquet")
    described = [
        field.with_metadata({"doc": COMMENTS[name][field.name]}) if field.name in COMMENTS[name] else field
        for field in table.schema
    ]
    return pa.table(table.columns, schema=pa.schema(described))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One load at a time: two would both append the week that neither sees yet."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "load.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
