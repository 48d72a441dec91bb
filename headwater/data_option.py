"""`headwater serve --data FOLDER_OR_FILE`: a person's own files as the connection `data`."""

from pathlib import Path

from core.settings import Settings
from headwater.local import opened

CONNECTION = "data"
KINDS = {".duckdb": "duckdb", ".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite"}


def allow_data(settings: Settings, data: Path) -> Settings:
    """The settings, with connections allowed to read below this path."""
    query = settings.query.model_copy(update={"allowed_roots": [*settings.query.allowed_roots, data]})
    return settings.model_copy(update={"query": query})


async def point_at_data(settings: Settings, data: Path) -> None:
    """Make the connection `data` of the default tenant, or point the one that is there at this path."""
    kind, options = KINDS.get(data.suffix.lower(), "files"), {"path": str(data)}
    async with opened(settings) as platform:
        owner = await platform.engine.identity.local_owner()
        connections = platform.engine.catalog.connections
        known = {item.connection_id: item for item in await connections.listing(owner.tenant)}
        if CONNECTION in known and known[CONNECTION].kind != kind:
            await platform.engine.catalog.delete_connection(owner, CONNECTION)
            del known[CONNECTION]
        if CONNECTION in known:
            await connections.update(owner.tenant, CONNECTION, options=options)
        else:
            await connections.create(
                owner.tenant, name=CONNECTION, kind=kind, options=options, connection_id=CONNECTION
            )
