"""`headwater serve --data FOLDER_OR_FILE`: a person's own files as the connection `data`."""

from pathlib import Path
from typing import Any

from core.dispatch import Call
from core.errors import InvalidArgument, NotFound
from engine.connectors.places import touches
from headwater.build import Platform
from headwater.settings import DATA_FILE, prepare_home

CONNECTION = "data"
KINDS = {".duckdb": "duckdb", ".ddb": "duckdb", ".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite"}


def allow_data(home: Path, data: Path) -> None:
    """Let connections of this home read below `data`, now and on later starts, in every process.

    Raises InvalidArgument when one holds the other."""
    if touches(data, home.resolve()):
        raise InvalidArgument(
            f"{data} and the home {home} hold one another; the home is never readable.",
            hint="Name another home with --home, or a folder inside this one.",
        )
    prepare_home(home)
    (home / DATA_FILE).write_text(f"{data}\n")


async def point_at_data(platform: Platform, data: Path) -> str:
    """Make the connection `data` of the default tenant, or point the one that is there at this path.

    Returns what a person should know of it."""
    owner = await platform.engine.identity.local_owner()

    async def call(tool: str, **arguments: Any) -> Any:
        call = Call(tool, {"connection_id": CONNECTION, **arguments}, "cli", "serve --data", principal=owner)
        return await platform.dispatcher.call(call)

    kind, options = KINDS.get(data.suffix.lower(), "files"), {"path": str(data)}
    try:
        found = await call("get_connection")
    except NotFound:
        found = None
    if found is not None and found.kind != kind:
        await call("delete_connection")
        found = None
    if found is None:
        await call("create_connection", name=CONNECTION, kind=kind, options=options)
    elif found.options != options:
        await call("update_connection", options=options)
    count = (await call("list_tables", page_size=1)).total_count
    return f"{count} {'table' if count == 1 else 'tables'} of {data} as the connection `{CONNECTION}`"
