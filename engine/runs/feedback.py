"""What people say of answers, and what of it waits for a review: a corrected query is nobody's truth until then."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select, update

from core.context import Principal
from core.errors import Conflict, NotFound, QuotaExceeded
from core.pages import Window
from engine.runs.runs import Seal
from engine.store.db import Store
from engine.store.tables import run_feedback

Verdict = Literal["success", "failed"]
Review = Literal["none", "pending", "approved", "rejected"]
MAX_PENDING = 2_000  # of one tenant
F = run_feedback.c


@dataclass(frozen=True, slots=True)
class Feedback:
    """One word on one run. `details` hold the question, its SQL, the corrected SQL and the comment."""

    feedback_id: str
    owner: str
    run_id: str
    status: Verdict
    details: Mapping[str, str]
    review: Review
    reviewed_by: str
    reviewed_at: float | None
    created_at: float


class FeedbackBook:
    """Every tenant's feedback, sealed."""

    def __init__(
        self,
        store: Store,
        *,
        seal: Seal,
        unseal: Seal,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: f"fb_{uuid.uuid4().hex[:16]}",
    ):
        self._store = store
        self._seal = seal
        self._unseal = unseal
        self._clock = clock
        self._new_id = new_id

    async def add(
        self, by: Principal, run_id: str, status: Verdict, details: Mapping[str, str], *, review: Review
    ) -> Feedback:
        """Write it down. Raises QuotaExceeded when too much waits for a review."""
        row = {
            "tenant_id": by.tenant,
            "feedback_id": self._new_id(),
            "owner": by.subject,
            "run_id": run_id,
            "status": status,
            "details": self._seal(by.tenant, json.dumps(dict(details)).encode()),
            "review": review,
            "reviewed_by": "",
            "created_at": self._clock(),
        }

        def work(connection: Connection) -> Any:
            waiting = select(func.count()).where(F.tenant_id == by.tenant, F.review == "pending")
            if review == "pending" and connection.execute(waiting).scalar_one() >= MAX_PENDING:
                raise QuotaExceeded("Too much feedback waits for a review.", hint="review_feedback decides on it.")
            return connection.execute(insert(run_feedback).values(row).returning(run_feedback)).one()

        return self._read(await self._store.write(work))

    async def page(self, by: Principal, window: Window, review: Review | None = None) -> tuple[list[Feedback], int]:
        """A slice of the tenant's feedback, newest first, and how much there is."""
        where = [F.tenant_id == by.tenant, *([F.review == review] if review else [])]

        def work(connection: Connection) -> tuple[list[Any], int]:
            total = connection.execute(select(func.count()).select_from(run_feedback).where(*where)).scalar_one()
            query = select(run_feedback).where(*where).order_by(F.created_at.desc(), F.feedback_id)
            return list(connection.execute(query.offset(window.offset).limit(window.size))), total

        rows, total = await self._store.read(work)
        return [self._read(row) for row in rows], total

    async def get(self, by: Principal, feedback_id: str) -> Feedback:
        """Raises NotFound."""
        query = select(run_feedback).where(F.tenant_id == by.tenant, F.feedback_id == feedback_id)
        row = await self._store.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise NotFound(f"No feedback {feedback_id[:64]!r}.", hint="list_feedback shows it.")
        return self._read(row)

    async def decide(self, by: Principal, feedback_id: str, review: Review) -> Feedback:
        """Approve or reject what waits. Raises NotFound, Conflict when it does not wait."""
        await self.get(by, feedback_id)
        where = (F.tenant_id == by.tenant, F.feedback_id == feedback_id, F.review == "pending")
        values = {"review": review, "reviewed_by": by.subject, "reviewed_at": self._clock()}
        statement = update(run_feedback).where(*where).values(values)
        if await self._store.write(lambda connection: connection.execute(statement).rowcount) != 1:
            raise Conflict("This feedback does not wait for a review.", hint="list_feedback shows what does.")
        return await self.get(by, feedback_id)

    def _read(self, row: Any) -> Feedback:
        return Feedback(
            feedback_id=row.feedback_id,
            owner=row.owner,
            run_id=row.run_id,
            status=row.status,
            details=json.loads(self._unseal(row.tenant_id, row.details)),
            review=row.review,
            reviewed_by=row.reviewed_by,
            reviewed_at=row.reviewed_at,
            created_at=row.created_at,
        )
