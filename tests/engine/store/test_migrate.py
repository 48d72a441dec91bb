"""Schema of the store: migrations and metadata agree, and upgrades keep the data."""

import asyncio
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from core.errors import Conflict, Unavailable
from engine.store.db import open_engine
from engine.store.migrate import FOLDER, current, head, revisions, upgrade
from engine.store.tables import metadata

ROW = (
    "INSERT INTO tenant (tenant_id, name, tier, wrapped_key, version, created_at)"
    " VALUES (:id, :name, 'free', :key, 1, 1.5)"
)
UPGRADE = "import sys; from engine.store.migrate import upgrade; print(upgrade(sys.argv[1]))"


def test_an_empty_store_has_no_revision_and_is_brought_to_the_head(empty_url: str) -> None:
    assert current(empty_url) is None
    assert upgrade(empty_url) == head() == current(empty_url)


def test_migrations_give_exactly_the_declared_tables(empty_url: str) -> None:
    upgrade(empty_url)
    engine = open_engine(empty_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_upgrades_from_every_earlier_schema_keep_its_rows(empty_url: str) -> None:
    engine = open_engine(empty_url)
    for earlier in revisions()[:-1]:  # an upgrade runs the same steps, one by one, wherever it begins
        assert upgrade(empty_url, earlier) == earlier
        with engine.begin() as connection:
            connection.execute(text(ROW), {"id": earlier, "name": f"Acme {earlier}", "key": b"\0\1"})
    assert upgrade(empty_url) == head()
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT tenant_id, name, wrapped_key, created_at FROM tenant")).all()
    kept = {row.tenant_id: (row.name, bytes(row.wrapped_key), row.created_at) for row in rows}
    assert kept == {earlier: (f"Acme {earlier}", b"\0\1", 1.5) for earlier in revisions()[:-1]}
    engine.dispose()


def test_a_store_of_a_newer_headwater_is_left_alone(empty_url: str) -> None:
    upgrade(empty_url)
    engine = open_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Conflict, match="newer"):
        upgrade(empty_url)


async def test_processes_that_start_at_once_upgrade_once(empty_url: str) -> None:
    starts = [
        asyncio.create_subprocess_exec(sys.executable, "-c", UPGRADE, empty_url, stdout=-1, stderr=-1, cwd=Path.cwd())
        for _ in range(4)
    ]
    processes = await asyncio.gather(*starts)
    answers = await asyncio.gather(*(process.communicate() for process in processes))
    assert [answer[0].decode().strip() for answer in answers] == [head()] * 4, answers


def test_the_head_is_alembics_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_current_head() == head()


def test_a_store_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        upgrade("postgresql://nobody@127.0.0.1:1/none")
