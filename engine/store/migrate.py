"""The store's schema: what it is, and how it is brought up to date; safe from several processes at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from core.errors import Conflict
from engine.store.db import open_engine, translated

FOLDER = Path(__file__).parent / "migrations"
LOCK_KEY = 0x48454144  # of PostgreSQL's advisory locks: any number that only Headwater uses


def revisions() -> list[str]:
    """Every revision, oldest first. Files are named `0001_noun.py`, so this needs no Alembic."""
    return sorted(path.name.partition("_")[0] for path in (FOLDER / "versions").glob("[0-9]*_*.py"))


def head() -> str:
    """The revision that this version of Headwater works with."""
    return revisions()[-1]


def current(url: str) -> str | None:
    """The revision of a store; None when it is empty. Raises Unavailable when it does not answer."""
    engine = open_engine(url)
    try:
        with translated(), engine.connect() as connection:
            return revision_of(connection)
    finally:
        engine.dispose()


def upgrade(url: str, revision: str = "") -> str:
    """Bring a store to `revision` (the head unless told) and return it. Raises Conflict on a newer store."""
    target = revision or head()
    if current(url) == target:
        return target
    engine = open_engine(url)
    try:
        with translated(), engine.connect() as connection, _alone(connection):
            found = revision_of(connection)
            if found is not None and found not in revisions():
                raise Conflict(
                    f"The store has the schema {found}, which a newer Headwater wrote.",
                    hint="Start that version, or restore a backup.",
                )
            if found is None or found < target:
                _migrate(connection, target)
    finally:
        engine.dispose()
    return target


def revision_of(connection: Connection) -> str | None:
    """The revision that a store's own table names."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """One transaction that no other process's migration runs beside."""
    if connection.dialect.name == "sqlite":
        # Batch migrations copy and drop tables, which would cascade to their children.
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.rollback()
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
    yield
    connection.commit()


def _migrate(connection: Connection, target: str) -> None:
    # Lazily: Alembic takes 0.4 s to import, and a store that is up to date does not need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)
