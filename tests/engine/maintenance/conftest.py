"""Lakehouse tables made of small files, and other writers that come in between."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.lake.warehouse import Lake
from tests.engine.maintenance.tables import Tables


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    lake = Lake(tmp_path / "warehouse")
    lake.create_namespace("default", "shop")
    yield Tables(lake)
    lake.close()
