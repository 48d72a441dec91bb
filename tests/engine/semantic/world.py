"""A DuckDB with a view on it, and metric queries that run there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from core.context import Principal
from engine.catalog.snapshots import make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ColumnInfo, ConnectionSpec, RelationInfo
from engine.policy.rules import open_to_all
from engine.semantic.compile import MetricQuery, compile_metrics
from engine.semantic.layer import Layer
from engine.semantic.metricflow import read_metricflow
from engine.sql.build import build
from engine.sql.definitions import read_definition


class World:
    """Tables, and the layer over them."""

    def __init__(self, database: duckdb.DuckDBPyConnection, layer: Layer):
        self._database = database
        self.layer = layer

    def sql(self, *metrics: str, **asked: Any) -> str:
        """The SQL of a metric query, through the form in which definitions are stored and sent."""
        query = compile_metrics(MetricQuery(metrics, **asked), self.layer)
        sent = query.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return build(read_definition(sent), self._view(), "duckdb").sql

    def rows(self, *metrics: str, **asked: Any) -> list[tuple[Any, ...]]:
        return self.run(self.sql(*metrics, **asked))

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        return sorted(self._database.execute(sql).fetchall(), key=repr)

    def _view(self) -> View:
        columns: dict[str, list[ColumnInfo]] = {}
        found = "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY ordinal_position"
        for table, column, data_type in self._database.execute(found).fetchall():
            columns.setdefault(table, []).append(ColumnInfo(column, data_type, True, 0))
        relations = [RelationInfo(table, tuple(items)) for table, items in columns.items()]
        snapshot = make_snapshot(ConnectionSpec("acme", "shop", "shop", "duckdb"), relations, 0.0)
        return View(Principal("ada", "acme"), snapshot, "open", lambda key: open_to_all(snapshot.relations[key]))


@contextmanager
def world(tables: str, files: dict[str, str]) -> Iterator[World]:
    read = read_metricflow(files, "shop")
    assert not read.errors, read.errors
    with duckdb.connect() as database:
        database.execute(tables)
        yield World(database, Layer(read.models, read.metrics))
