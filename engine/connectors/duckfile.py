"""A DuckDB database file, attached read-only."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.connectors.connector import ColumnInfo, RelationInfo
from engine.connectors.duck import Duck, DuckPlan, quote_name
from engine.connectors.duck_backed import DuckBacked
from engine.connectors.stream import in_thread
from engine.lake.names import join_name, split_name

_RELATIONS = """
SELECT schema_name, table_name, 'table', estimated_size, comment FROM duckdb_tables()
WHERE database_name = 'source' AND NOT internal
UNION ALL SELECT schema_name, view_name, 'view', NULL, comment FROM duckdb_views()
WHERE database_name = 'source' AND NOT internal ORDER BY 1, 2"""
_COLUMNS = """
SELECT schema_name, table_name, column_name, lower(data_type), is_nullable, column_index, comment FROM duckdb_columns()
WHERE database_name = 'source' AND NOT internal ORDER BY 1, 2, 6"""

_KEYS = """
SELECT schema_name, table_name, constraint_column_names FROM duckdb_constraints()
WHERE database_name = 'source' AND constraint_type = 'PRIMARY KEY'"""
_REFERENCES = """
SELECT schema_name, table_name, constraint_column_names[1], referenced_table, referenced_column_names[1]
FROM duckdb_constraints() WHERE database_name = 'source' AND constraint_type = 'FOREIGN KEY'
AND len(constraint_column_names) = 1"""


class DuckdbConnector(DuckBacked):
    """Tables of the default schema go by their name alone, others as schema.table."""

    kind = "duckdb"

    def __init__(self, path: Path, plan: DuckPlan):
        self.path = path
        super().__init__(plan)

    async def schema(self) -> list[RelationInfo]:
        duck = await self._duck.get()
        return await in_thread(lambda: _relations(duck))

    async def sources(self, names: Iterable[str]) -> Mapping[str, str]:
        return {name: _quoted(name) for name in names}


def _relations(duck: Duck) -> list[RelationInfo]:
    columns: dict[tuple[str, str], list[ColumnInfo]] = {}
    for schema, table, name, data_type, is_nullable, ordinal, comment in duck.rows(_COLUMNS):
        columns.setdefault((schema, table), []).append(ColumnInfo(name, data_type, is_nullable, ordinal, comment))
    keys = {(schema, table): tuple(names) for schema, table, names in duck.rows(_KEYS)}
    references: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for schema, table, column, other, parent in duck.rows(_REFERENCES):  # a key of another schema is not possible
        references.setdefault((schema, table), []).append((column, _name(schema, other), parent))
    return [
        RelationInfo(
            _name(schema, table),
            tuple(columns.get((schema, table), ())),
            kind,
            size,
            comment,
            keys.get((schema, table), ()),
            tuple(references.get((schema, table), ())),
        )
        for schema, table, kind, size, comment in duck.rows(_RELATIONS)
    ]


def _name(schema: str, table: str) -> str:
    return join_name((table,) if schema == "main" else (schema, table))


def _quoted(name: str) -> str:
    parts = split_name(name)
    return ".".join(map(quote_name, ("source", *(("main", *parts) if len(parts) == 1 else parts))))
