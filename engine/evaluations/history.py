"""The history of evaluations: runs and their judged cases, kept as they end, so that a killed run goes on."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, desc, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, NotFound
from core.pages import Window
from engine.store.db import Store
from engine.store.tables import evaluation_cases, evaluation_runs

MAX_RUNS = 1_000  # of one owner


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it is kept. Facts and results are JSON of those who evaluate."""

    run_id: str
    suite: str
    facts: Mapping[str, Any]
    status: str
    started_at: float
    finished_at: float | None
    results: Sequence[Mapping[str, Any]] = ()


class Evaluations:
    """Runs of each person; nobody reads those of others."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:16],
    ):
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def begin(self, by: Principal, suite: str, facts: Mapping[str, Any], *, run_id: str = "") -> StoredRun:
        """Begin a run, or go on with the one of that id. Raises Conflict when that one is of another kind."""
        row = {
            "tenant_id": by.tenant,
            "run_id": run_id or self._new_id(),
            "owner": by.subject,
            "suite": suite,
            "facts": json.dumps(dict(facts), sort_keys=True),
            "status": "running",
            "started_at": self._clock(),
        }

        def work(connection: Connection) -> None:
            count = select(func.count()).select_from(evaluation_runs).where(_of(by))
            if connection.execute(count).scalar_one() >= MAX_RUNS:
                raise Conflict(f"You keep {MAX_RUNS:,} runs.", hint="delete_eval_run removes old ones.")
            connection.execute(insert(evaluation_runs).values(**row))

        try:
            await self._store.write(work)
        except IntegrityError:
            kept = await self._same(by, row)
            await self._store.write(lambda connection: connection.execute(_set(by, kept.run_id, status="running")))
            return kept
        return await self.get(by, str(row["run_id"]))

    async def _same(self, by: Principal, row: Mapping[str, Any]) -> StoredRun:
        taken = Conflict(f"The run id {row['run_id']!r} is taken by another suite or arm.", hint="Choose another id.")
        try:
            kept = await self.get(by, row["run_id"])
        except NotFound:
            raise taken from None
        if kept.suite != row["suite"] or json.dumps(dict(kept.facts), sort_keys=True) != row["facts"]:
            raise taken
        return kept

    async def add(self, by: Principal, run_id: str, seq: int, case_id: str, result: Mapping[str, Any]) -> None:
        """Keep a judged case; one that is kept already stays as it is."""
        row = {"tenant_id": by.tenant, "run_id": run_id, "case_id": case_id, "seq": seq, "result": json.dumps(result)}
        try:
            await self._store.write(lambda connection: connection.execute(insert(evaluation_cases).values(**row)))
        except IntegrityError:
            return

    async def finish(self, by: Principal, run_id: str, status: str) -> StoredRun:
        """End a run: `completed` or `cancelled`."""
        changed = _set(by, run_id, status=status, finished_at=self._clock())
        await self._store.write(lambda connection: connection.execute(changed))
        return await self.get(by, run_id)

    async def get(self, by: Principal, run_id: str) -> StoredRun:
        """A run with its cases, in the suite's order. Raises NotFound for those of others."""

        def work(connection: Connection) -> StoredRun:
            row = connection.execute(select(evaluation_runs).where(_of(by), evaluation_runs.c.run_id == run_id)).first()
            if row is None:
                raise NotFound(f"No run {run_id!r}.", hint="list_eval_runs shows your own.")
            cases = (
                select(evaluation_cases.c.result)
                .where(evaluation_cases.c.tenant_id == by.tenant, evaluation_cases.c.run_id == run_id)
                .order_by(evaluation_cases.c.seq)
            )
            return _run(row, [json.loads(result) for result in connection.execute(cases).scalars()])

        return await self._store.read(work)

    async def listing(self, by: Principal, window: Window, suite: str = "") -> tuple[list[StoredRun], int]:
        """Own runs without their cases, the newest first, and how many there are."""
        wanted = and_(_of(by), evaluation_runs.c.suite == suite) if suite else _of(by)
        page = (
            select(evaluation_runs)
            .where(wanted)
            .order_by(desc(evaluation_runs.c.started_at), evaluation_runs.c.run_id)
            .offset(window.offset)
            .limit(window.size)
        )

        def work(connection: Connection) -> tuple[list[StoredRun], int]:
            count = connection.execute(select(func.count()).select_from(evaluation_runs).where(wanted)).scalar_one()
            return [_run(row, ()) for row in connection.execute(page)], count

        return await self._store.read(work)

    async def delete(self, by: Principal, run_id: str) -> None:
        """Forget a run and its cases. Raises NotFound for those of others."""

        def work(connection: Connection) -> None:
            gone = connection.execute(delete(evaluation_runs).where(_of(by), evaluation_runs.c.run_id == run_id))
            if not gone.rowcount:
                raise NotFound(f"No run {run_id!r}.", hint="list_eval_runs shows your own.")
            connection.execute(
                delete(evaluation_cases).where(
                    evaluation_cases.c.tenant_id == by.tenant, evaluation_cases.c.run_id == run_id
                )
            )

        await self._store.write(work)


def _of(by: Principal) -> Any:
    return and_(evaluation_runs.c.tenant_id == by.tenant, evaluation_runs.c.owner == by.subject)


def _set(by: Principal, run_id: str, **values: Any) -> Any:
    return update(evaluation_runs).where(_of(by), evaluation_runs.c.run_id == run_id).values(**values)


def _run(row: Any, results: Sequence[Mapping[str, Any]]) -> StoredRun:
    return StoredRun(
        row.run_id, row.suite, json.loads(row.facts), row.status, row.started_at, row.finished_at, tuple(results)
    )
