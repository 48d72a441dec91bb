"""Lakehouse tables made of small files, and other writers that come in between."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.lake.warehouse import Lake
from tests.engine.maintenance.tables import Tables


@pytest.fixture(scope="session")
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty") / "warehouse"
    lake = Lake(folder)
    lake.create_namespace("default", "shop")
    lake.close()
    return folder


@pytest.fixture
def tables(empty_warehouse: Path, tmp_path: Path) -> Iterator[Tables]:
    shutil.copytree(empty_warehouse, tmp_path / "warehouse")
    lake = Lake(tmp_path / "warehouse")
    yield Tables(lake)
    lake.close()
