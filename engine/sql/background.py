"""Query jobs: statements whose rows are kept, run by the worker, read later by page."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from core.context import Cancellation, JobRun, Principal
from core.errors import Conflict, RateLimited, Unavailable
from core.jobs import Job, Progress
from engine.quotas.quotas import Quotas
from engine.results.content import Contents
from engine.results.exports import Exports
from engine.results.listing import RUN, OwnJobs
from engine.results.manifests import Outcome, ResultManifest
from engine.results.stored import Send, StoredResults
from engine.sql.run import Facts, SqlService, Statement, snapshots_of

SLOT_WAIT_S = 60.0
SLOT_RETRY_S = 0.5
JOB_TIMEOUT_S = 3600.0  # nobody waits for a job, but what it holds is waited for


class Queue(Protocol):
    async def submit(
        self, principal: Principal, tool: str, request_json: str, *, request_id: str, idempotency_key: str = ""
    ) -> Job: ...


class Saved(Protocol):
    """A query that was saved."""

    @property
    def query_text(self) -> str: ...

    @property
    def connection_id(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, str]: ...


FindSaved = Callable[[Principal, str], Awaitable[Saved]]
"""A saved query that the caller may see. Raises NotFound."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run, and where."""

    query_text: str
    connection_id: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Runner:
    """What query jobs run on."""

    sql: SqlService
    quotas: Quotas
    saved: FindSaved


class QueryJobs:
    """Runs statements as jobs. Who may read their rows is asked again at every read."""

    def __init__(self, runner: Runner, *, results: StoredResults, own: OwnJobs, exports: Exports, contents: Contents):
        self.results = results
        self.own = own
        self.exports = exports
        self.contents = contents
        self._runner = runner

    async def sweep(self) -> int:
        """Delete what has expired, and what killed runs have left; says how many objects."""
        return await self.results.sweep()

    async def resolve(
        self,
        by: Principal,
        *,
        query_id: str | None,
        query_text: str | None,
        connection_id: str | None,
        parameters: Mapping[str, str],
    ) -> Wanted:
        """What a request means. Raises NotFound, or Conflict when it gives neither id nor text."""
        saved = await self._runner.saved(by, query_id) if query_id else None
        if query_text:
            return Wanted(query_text, connection_id or (saved.connection_id if saved else "lakehouse"), parameters)
        if saved is None:
            raise Conflict("There is nothing to run.", hint="Send query_text, or the query_id of a saved query.")
        # Its own values are defaults; a text of the caller's own need not know them.
        return Wanted(saved.query_text, connection_id or saved.connection_id, {**saved.parameters, **parameters})

    async def check(self, by: Principal, connection_id: str, statement: Statement) -> list[str]:
        """The tables that a statement reads. Raises what running it would, as far as that is known before."""
        return (await self._runner.sql.validate(by, connection_id, statement)).tables

    async def submit(self, queue: Queue, by: Principal, request_json: str, *, request_id: str) -> str:
        """Hand a checked request to the workers; returns the job's id."""
        return (await queue.submit(by, RUN, request_json, request_id=request_id)).job_id

    async def run(
        self,
        by: Principal,
        run: JobRun,
        connection_id: str,
        statement: Statement,
        *,
        query_id: str,
        emit: Callable[[Progress], Awaitable[None]],
        cancelled: Cancellation,
    ) -> ResultManifest:
        """Run a statement in a worker and keep its rows, once however often the worker is killed."""
        statement = replace(statement, allowed_s=JOB_TIMEOUT_S, reader=query_id)
        prepared = await self._runner.sql.validate(by, connection_id, statement)
        tables, versions = prepared.tables, snapshots_of(prepared)
        pieces = 0

        async def produce(send: Send) -> Outcome:
            async def keep(chunk: bytes) -> None:
                nonlocal pieces
                await send(chunk)
                pieces += 1
                await emit(Progress(message="pieces of the result written", done=pieces))

            facts = await self._runner.sql.stream(by, connection_id, statement, send=keep, cancelled=cancelled)
            if set(facts.tables) - set(tables) or facts.versions != versions:
                raise Conflict("The tables of the query changed while it ran.", hint="Run the query again.")
            return _outcome(facts, connection_id, query_id)

        async with self._slot(by):
            return await self.results.write(by, run, tables, connection_id, produce, versions=versions)

    @asynccontextmanager
    async def _slot(self, by: Principal) -> AsyncIterator[None]:
        """One of the tenant's places for running queries; a job waits for it rather than fail."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + SLOT_WAIT_S
        while True:
            slot = self._runner.quotas.query_slot(by)
            try:
                await slot.__aenter__()
                break
            except RateLimited as error:
                if loop.time() > ends_at:
                    raise Unavailable(error.message, hint=error.hint) from None
                await asyncio.sleep(SLOT_RETRY_S)
        try:
            yield
        finally:
            await slot.__aexit__(None, None, None)


def _outcome(facts: Facts, connection_id: str, query_id: str) -> Outcome:
    return Outcome(
        connection_id=connection_id,
        tables=list(facts.tables),
        columns=list(facts.columns),
        column_privacy=dict(facts.column_privacy),
        private_row_count=facts.private_row_count,
        is_truncated=facts.is_truncated,
        is_from_cache=facts.from_cache,
        execution_time_ms=facts.execution_time_ms,
        bytes_scanned=facts.bytes_scanned,
        cpu_ms=facts.cpu_ms,
        query_id=query_id,
        versions=dict(facts.versions),
    )
