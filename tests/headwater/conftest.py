"""One server for the tests that only talk to it, and data to serve."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.headwater.processes import Server, served


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one CSV file, 2,000 orders."""
    folder = tmp_path_factory.mktemp("shop")
    rows = "\n".join(f"{number},{'eu' if number % 2 else 'us'},{number}.50" for number in range(2000))
    (folder / "orders.csv").write_text(f"id,region,amount\n{rows}\n")
    return folder


@pytest.fixture(scope="session")
def shop_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with one table."""
    path = tmp_path_factory.mktemp("files") / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO people VALUES (1, 'Ada'), (2, 'Bob')")
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, shop: Path) -> Iterator[Server]:
    """A server of the shop's folder that all tests of a process share."""
    with served(tmp_path_factory.mktemp("server") / "home", "--data", str(shop)) as ready:
        yield ready


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A home without a server, shared by tests that do not mind what others left there."""
    return str(tmp_path_factory.mktemp("local") / "home")
