"""Writing records of a database's table: parameterised statements in one transaction. Blocking."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlglot import exp

from core.errors import Conflict
from engine.connectors.writers import Session
from engine.records.misfits import Misfits, fit_all
from engine.records.reach import Reach, refused
from engine.records.texts import DatabaseColumn
from engine.records.wishes import Change, Deletion, Insertion, Outcome, Wish
from engine.sql.govern import quote_name

MAX_VALUES = 20_000  # of one statement
MAX_RECORDS = 500
NEEDED = "Give each record its key columns, none null."


@dataclass(slots=True)
class Bound:
    """The values of one statement, and their places in it."""

    dialect: str
    values: list[Any] = field(default_factory=list)

    def put(self, value: Any) -> str:
        """The text that stands for a value."""
        self.values.append(value)
        return f"{':p' if self.dialect == 'sqlite' else '$'}{len(self.values)}"

    def put_literal(self, literal: exp.Literal) -> exp.Expr:
        self.values.append(literal.this)
        number = len(self.values)
        if self.dialect == "sqlite":
            return exp.Placeholder(this=f"p{number}")
        return exp.Parameter(this=exp.Literal.number(number))


def write_database(session: Session, reach: Reach, wish: Wish, source: str, *, dry_run: bool) -> Outcome:
    """Write, or with `dry_run` count what would be. `source` is the table's name as the database reads it.

    Raises Conflict, QueryUnauthorized; the transaction is then to be given up."""
    if isinstance(wish, Insertion):
        return _insert(session, reach, wish, source, dry_run=dry_run)
    if isinstance(wish, Change):
        return _update(session, reach, wish, source, dry_run=dry_run)
    return _delete(session, reach, wish, source, dry_run=dry_run)


# Inserting


def _insert(session: Session, reach: Reach, wish: Insertion, source: str, *, dry_run: bool) -> Outcome:
    records = reach.records(wish.records)
    values = _fitted(records, reach, "records")
    keys = [reach.name(name) for name in wish.key_columns]
    _check_keys(records, keys)
    if dry_run:
        return Outcome(inserted=len(records))
    inserted = updated = 0
    for names, group in groupby(range(len(records)), key=lambda number: tuple(records[number])):
        if not names:
            raise Conflict("A record names no column.", hint="Give each at least one value.")
        for part in _parts(list(group), len(names)):
            rows = [[values[name][number] for name in names] for number in part]
            new, old = _insert_part(session, reach, wish, source, names=names, keys=keys, rows=rows)
            inserted, updated = inserted + new, updated + old
    return Outcome(inserted=inserted, updated=updated, skipped=len(records) - inserted - updated)


def _parts(numbers: Sequence[int], width: int) -> Iterator[Sequence[int]]:
    size = max(1, min(MAX_RECORDS, MAX_VALUES // width))
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def _insert_part(
    session: Session,
    reach: Reach,
    wish: Insertion,
    source: str,
    *,
    names: Sequence[str],
    keys: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> tuple[int, int]:
    """How many records one statement has added, and how many it has changed."""
    bound = Bound(reach.dialect)
    listed = ", ".join(_quote(name, reach) for name in names)
    given = ", ".join(f"({', '.join(bound.put(value) for value in row)})" for row in rows)
    statement = (
        f"INSERT INTO {_target(source, reach)} ({listed}) VALUES {given}{_on_conflict(reach, wish, names, keys)}"  # noqa: S608
    )
    known = _known(session, reach, source, keys, names=names, rows=rows) if wish.on_conflict == "update" else 0
    written = _changed(session, reach, statement, bound, "of the records")
    if wish.on_conflict == "update" and written != len(rows):
        raise refused(len(rows) - written, "of the records")
    return written - known, known


def _on_conflict(reach: Reach, wish: Insertion, names: Sequence[str], keys: Sequence[str]) -> str:
    if wish.on_conflict == "error":
        return ""
    listed = ", ".join(_quote(name, reach) for name in keys)
    if wish.on_conflict == "ignore":
        return f" ON CONFLICT ({listed}) DO NOTHING"
    others = [name for name in names if name not in keys] or list(keys)
    changes = ", ".join(f"{_quote(name, reach)} = excluded.{_quote(name, reach)}" for name in others)
    mine = f" WHERE {reach.policy}" if reach.policy else ""
    return f" ON CONFLICT ({listed}) DO UPDATE SET {changes}{mine}"


def _known(
    session: Session,
    reach: Reach,
    source: str,
    keys: Sequence[str],
    *,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> int:
    """How many of the records are there already, held until the transaction ends."""
    bound, places = Bound(reach.dialect), [names.index(name) for name in keys]
    tests = (
        " AND ".join(
            f"{_column(name, reach)} = {bound.put(row[place])}" for name, place in zip(keys, places, strict=True)
        )
        for row in rows
    )
    where = " OR ".join(f"({test})" for test in tests)
    locked = "" if reach.dialect == "sqlite" else " FOR UPDATE"
    found = f"SELECT 1 AS one FROM {_target(source, reach)} WHERE {where}{locked}"  # noqa: S608
    return int(session.rows(f"SELECT count(*) FROM ({found}) AS held", bound.values)[0][0])  # noqa: S608


def _check_keys(records: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> None:
    seen = set()
    for number, record in enumerate(records) if keys else ():
        if any(record.get(name) is None for name in keys):
            raise Conflict(f"records[{number}] has no key.", hint=NEEDED)
        key = repr([record[name] for name in keys])
        if key in seen:
            raise Conflict("Two of the records have the same key.", hint="Keep the one that counts.")
        seen.add(key)


# Changing and deleting


def _update(session: Session, reach: Reach, wish: Change, source: str, *, dry_run: bool) -> Outcome:
    values = reach.records([wish.values])[0]
    fitted = {name: items[0] for name, items in _fitted([values], reach, "values").items()}
    bound = Bound(reach.dialect)
    if dry_run:
        return Outcome(updated=_would_change(session, reach, wish, source))
    changes = ", ".join(f"{_quote(name, reach)} = {bound.put(value)}" for name, value in fitted.items())
    match = reach.matching(wish.filters, bound.put_literal)
    statement = f"UPDATE {_target(source, reach)} SET {changes} WHERE {match}"  # noqa: S608 - printed by us
    return Outcome(updated=_changed(session, reach, statement, bound, "records"))


def _delete(session: Session, reach: Reach, wish: Deletion, source: str, *, dry_run: bool) -> Outcome:
    if dry_run:
        return Outcome(deleted=_would_change(session, reach, wish, source))
    bound = Bound(reach.dialect)
    match = reach.matching(wish.filters, bound.put_literal)
    return Outcome(deleted=session.change(f"DELETE FROM {_target(source, reach)} WHERE {match}", bound.values))  # noqa: S608


def _would_change(session: Session, reach: Reach, wish: Change | Deletion, source: str) -> int:
    bound = Bound(reach.dialect)
    match = reach.matching(wish.filters, bound.put_literal)
    query = f"SELECT count(*) FROM {_target(source, reach)} WHERE {match}"  # noqa: S608
    return int(session.rows(query, bound.values)[0][0])


def _changed(session: Session, reach: Reach, statement: str, bound: Bound, what: str) -> int:
    """Run it; how many rows it has changed. Raises QueryUnauthorized when the caller would not see one of them."""
    if not reach.policy:
        return session.change(statement, bound.values)
    # What the database has made of the row counts, with its defaults and triggers.
    returning = f"{statement} RETURNING CASE WHEN {reach.broken} THEN 1 ELSE 0 END"
    if reach.dialect == "sqlite":
        marks = [row[0] for row in session.rows(returning, bound.values)]
        written, outside = len(marks), sum(marks)
    else:
        counting = f"WITH done(outside) AS ({returning}) SELECT count(*), coalesce(sum(outside), 0) FROM done"  # noqa: S608
        written, outside = map(int, session.rows(counting, bound.values)[0])
    if outside:
        raise refused(outside, what)
    return written


# Parts


def _fitted(records: Sequence[Mapping[str, Any]], reach: Reach, label: str) -> dict[str, list[Any]]:
    names = {name for record in records for name in record}
    columns = [DatabaseColumn(column, reach.dialect) for name, column in reach.columns.items() if name in names]
    misfits = Misfits([])
    for number, record in enumerate(records):
        for name, value in record.items():
            if value is None and not reach.columns[name].nullable:
                misfits.add(f"{label}[{number}].{name[:80]}", "a value: the column may not be null")
    misfits.check()
    return fit_all(records, columns, label=label)


def _target(source: str, reach: Reach) -> str:
    return source if reach.dialect == "sqlite" else f"{source} AS {_quote(reach.alias, reach)}"


def _column(name: str, reach: Reach) -> str:
    return f"{_quote(reach.alias, reach)}.{_quote(name, reach)}"


def _quote(name: str, reach: Reach) -> str:
    return quote_name(name, reach.dialect)
