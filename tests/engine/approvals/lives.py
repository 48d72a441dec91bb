"""Lives of approvals and shares, told by chance: each step is done, several at once, and compared with a model."""

import asyncio
import random
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import insert, update

from core.context import Principal
from core.errors import Conflict, NotFound, PlatformError, Unauthorized
from core.settings import EgressSettings, NoticeSettings
from engine.approvals.approval import DAY_S, LASTS_S, TOOL_CALL, Approval, Kind, Opening
from engine.approvals.approvals import Approvals
from engine.approvals.gate import USE_WITHIN_S
from engine.approvals.sharing import Sharing
from engine.egress.client import EgressClient
from engine.notices.mail import Mailer
from engine.notices.outbox import Outbox
from engine.notices.webhook import Webhooks
from engine.projects.projects import Projects
from engine.projects.shares import Shares, read_shared
from engine.store.db import Store, sqlite_url
from engine.store.tables import datasets, tenants
from tests.fixtures_store import _emptied, _postgres_url, _sqlite_file

T = TypeVar("T")
TENANTS = ("acme", "bolt", "cove")
DECIDE = frozenset({"approvals.decide"})
NOBODYS = "nobodys"


def sqlite_store() -> Store:
    folder = Path(tempfile.mkdtemp())
    (folder / "headwater.db").write_bytes(_sqlite_file())
    return Store(sqlite_url(folder))


def postgres_store() -> Store:
    return Store(_emptied(_postgres_url()))


def admin(tenant: str, name: str = "admin") -> Principal:
    return Principal(name, tenant, frozenset({"admin"}), DECIDE)


@dataclass
class World:
    """Everything on one store, with a clock that stands still unless it is moved."""

    store: Store
    now: float = 1_800_000_000.0
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __post_init__(self) -> None:
        clock = lambda: self.now  # noqa: E731 - shared by all parts
        outbox = Outbox(
            self.store,
            Webhooks(EgressClient(EgressSettings())),
            Mailer(NoticeSettings()),
            seal=lambda tenant, data: data,
            unseal=lambda tenant, data: data,
            clock=clock,
        )
        self.approvals = Approvals(self.store, outbox, clock=clock)
        self.approvals.register(Kind(TOOL_CALL, use_within_s=USE_WITHIN_S))
        self.projects = Projects(self.store, clock=clock)
        self.shares = Shares(self.store, clock=clock)
        self.sharing = Sharing(self.approvals, self.projects, self.shares)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def all_at_once(self, *works: Coroutine[Any, Any, T]) -> list[T | BaseException]:
        """In an order of chance, and at the same time as far as threads are."""
        mixed = list(works)
        random.shuffle(mixed)

        async def together() -> list[T | BaseException]:
            return await asyncio.gather(*mixed, return_exceptions=True)

        found = self.run(together())
        for outcome in found:
            if isinstance(outcome, BaseException) and not isinstance(outcome, PlatformError):
                raise outcome
        return found

    def close(self) -> None:
        self.loop.close()
        self.store.close()


@dataclass
class Asked:
    """What the model knows of one approval."""

    approval: Approval
    status: str = "pending"
    ends_at: float = 0.0
    is_used: bool = False


class ApprovalLife(RuleBasedStateMachine):
    """Calls of three people that need an approval."""

    make_store: Callable[[], Store] = staticmethod(sqlite_store)

    def __init__(self) -> None:
        super().__init__()
        self.world = World(type(self).make_store())
        self.known: list[Asked] = []

    def teardown(self) -> None:
        self.world.close()

    def _pending(self, subject: str, digest: str) -> Asked | None:
        for item in self.known:
            mine = (item.approval.requested_by, item.approval.argument_digest) == (subject, digest)
            if mine and self._status(item) == "pending":
                return item
        return None

    def _status(self, item: Asked) -> str:
        return "expired" if item.status == "pending" and item.ends_at <= self.world.now else item.status

    @rule(subject=st.sampled_from(["ada", "bob"]), digest=st.sampled_from(["one", "two"]), times=st.integers(1, 3))
    def ask(self, subject: str, digest: str, times: int) -> None:
        opening = Opening(TOOL_CALL, "t", f"tool:{digest}", tool="tool", argument_digest=digest)
        calls = [self.world.approvals.open(Principal(subject, "acme"), opening) for _ in range(times)]
        opened = [item for item in self.world.all_at_once(*calls) if isinstance(item, Approval)]
        assert len(opened) == times and len({item.approval_id for item in opened}) == 1
        before = self._pending(subject, digest)
        if before is not None:
            assert before.approval.approval_id == opened[0].approval_id
        else:
            assert opened[0].approval_id not in [item.approval.approval_id for item in self.known]
            self.known.append(Asked(opened[0], ends_at=self.world.now + LASTS_S))

    @precondition(lambda self: self.known)
    @rule(data=st.data(), verdicts=st.lists(st.booleans(), min_size=1, max_size=4))
    def decide(self, data: st.DataObject, verdicts: list[bool]) -> None:
        item = data.draw(st.sampled_from(self.known))
        names = [f"admin{number}" for number in range(len(verdicts))]
        deciding = [
            self.world.approvals.decide(admin("acme", name), item.approval.approval_id, approve=approve)
            for name, approve in zip(names, verdicts, strict=True)
        ]
        could = self._status(item) == "pending"
        done = [found for found in self.world.all_at_once(*deciding) if isinstance(found, Approval)]
        assert len(done) == int(could)
        if could:
            item.status = done[0].status
            item.ends_at = min(item.ends_at, self.world.now + USE_WITHIN_S) if item.status == "approved" else 0.0

    @precondition(lambda self: self.known)
    @rule(data=st.data(), via=st.sampled_from(["user", "agent"]))
    def decide_wrongly(self, data: st.DataObject, via: str) -> None:
        item = data.draw(st.sampled_from(self.known))
        own = Principal(item.approval.requested_by, "acme", permissions=DECIDE, via="user")
        wrong = [own, Principal("x", "acme", permissions=DECIDE, via="agent"), Principal("y", "acme"), admin("bolt")]
        for by in wrong:
            outcome = self.world.all_at_once(self.world.approvals.decide(by, item.approval.approval_id, approve=True))[
                0
            ]
            assert isinstance(outcome, (Unauthorized, NotFound, Conflict))

    @rule(
        subject=st.sampled_from(["ada", "bob", "eve"]), digest=st.sampled_from(["one", "two"]), times=st.integers(1, 4)
    )
    def use(self, subject: str, digest: str, times: int) -> None:
        by = Principal(subject, "acme")
        found = self.world.all_at_once(*(self.world.approvals.use(by, "tool", digest) for _ in range(times)))
        used = [item for item in found if isinstance(item, str)]
        ready = [item for item in self.known if self._is_ready(item, subject, digest)]
        assert len(used) == len(set(used)) == min(times, len(ready))
        assert set(used) <= {item.approval.approval_id for item in ready}
        for item in ready:
            item.is_used = item.approval.approval_id in used

    def _is_ready(self, item: Asked, subject: str, digest: str) -> bool:
        mine = (item.approval.requested_by, item.approval.argument_digest) == (subject, digest)
        return mine and item.status == "approved" and not item.is_used and item.ends_at > self.world.now

    @rule(days=st.sampled_from([0.01, 0.5, 1.0, 8.0, 15.0]))
    def time_passes(self, days: float) -> None:
        self.world.now += days * DAY_S

    @rule(times=st.integers(1, 3))
    def expire(self, times: int) -> None:
        due = [item for item in self.known if item.status == "pending" and item.ends_at <= self.world.now]
        counts = self.world.all_at_once(*(self.world.approvals.expire() for _ in range(times)))
        assert sum(count for count in counts if isinstance(count, int)) == len(due)
        for item in due:
            item.status = "expired"

    @invariant()
    def stands_as_the_model_says(self) -> None:
        found, total = self.world.run(self.world.approvals.listing(admin("acme")))
        assert total == len(self.known)
        shown = {item.approval_id: (item.status, item.used_at is not None) for item in found}
        assert shown == {item.approval.approval_id: (self._status(item), item.is_used) for item in self.known}


@dataclass
class Request:
    """A request between tenants as the model knows it."""

    approval: Approval
    guest: str
    owner: str
    ends_at: float
    is_open: bool = True


class ShareLife(RuleBasedStateMachine):
    """Projects of two tenants, datasets of a third, and who reads what."""

    make_store: Callable[[], Store] = staticmethod(sqlite_store)

    def __init__(self) -> None:
        super().__init__()
        self.world = World(type(self).make_store())
        self.requests: list[Request] = []
        self.live: set[tuple[str, str, str]] = set()  # guest, project, dataset
        self.projects = {"p-bolt": "bolt", "p-cove": "cove"}
        self.datasets = {"d-one", "d-two"}
        self.world.run(self.world.store.write(self._fill))
        for project_id, tenant in self.projects.items():
            self.world.run(self.world.projects.create(admin(tenant), project_id, project_id=project_id))

    def _fill(self, connection: Any) -> None:
        for tenant in TENANTS:
            row: dict[str, Any] = {"tenant_id": tenant, "name": tenant, "tier": "pro", "wrapped_key": b"k"}
            connection.execute(insert(tenants).values({**row, "version": 1, "created_at": 0.0}))
        for name in self.datasets:
            row = {"tenant_id": "acme", "dataset_id": name, "name": name, "taken_name": name, "description": ""}
            row |= {"state": "live", "target": "", "created_at": 0.0, "updated_at": 0.0}
            connection.execute(insert(datasets).values(row))

    def teardown(self) -> None:
        self.world.close()

    @rule(
        project=st.sampled_from(["p-bolt", "p-cove"]),
        dataset=st.sampled_from(["d-one", "d-two", NOBODYS]),
        times=st.integers(1, 2),
    )
    def ask(self, project: str, dataset: str, times: int) -> None:
        guest = {"p-bolt": "bolt", "p-cove": "cove"}[project]
        by = Principal("editor", guest)
        asking = [self.world.sharing.request_dataset(by, project, dataset) for _ in range(times)]
        found = [item for item in self.world.all_at_once(*asking) if isinstance(item, Approval)]
        if project not in self.projects:
            assert not found
            return
        assert len({item.approval_id for item in found}) == 1 and {item.status for item in found} == {"pending"}
        if found[0].approval_id not in [item.approval.approval_id for item in self.requests]:
            owner = "acme" if dataset in self.datasets else ""  # what is not there reaches nobody, also later
            self.requests.append(Request(found[0], guest, owner, self.world.now + LASTS_S))

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), verdicts=st.lists(st.booleans(), min_size=1, max_size=3))
    def decide(self, data: st.DataObject, verdicts: list[bool]) -> None:
        item = data.draw(st.sampled_from(self.requests))
        subject = item.approval.subject
        is_there = subject["project_id"] in self.projects and subject["dataset_id"] in self.datasets
        could = item.is_open and item.ends_at > self.world.now and item.owner == "acme"
        found = self.world.all_at_once(
            *(
                self.world.approvals.decide(admin("acme", f"a{number}"), item.approval.approval_id, approve=approve)
                for number, approve in enumerate(verdicts)
            )
        )
        done = [outcome for outcome in found if isinstance(outcome, Approval)]
        if not could or (not is_there and all(verdicts)):
            assert not done
            return
        assert len(done) == 1 and (is_there or done[0].status == "rejected")
        item.is_open = False
        if done[0].status == "approved":
            self.live.add((item.guest, subject["project_id"], subject["dataset_id"]))

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def decide_wrongly(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(self.requests))
        for by in (admin(item.guest), admin("cove", "x"), Principal("z", "acme")):
            outcome = self.world.all_at_once(self.world.approvals.decide(by, item.approval.approval_id, approve=True))[
                0
            ]
            assert isinstance(outcome, (Unauthorized, NotFound, Conflict))

    @rule(which=st.integers(0, 7), by=st.sampled_from(["owner", "guest", "stranger"]), times=st.integers(1, 2))
    def revoke(self, which: int, by: str, times: int) -> None:
        if not self.live:  # no precondition: who of two deciders was first is not for hypothesis to know
            return
        guest, project, dataset = sorted(self.live)[which % len(self.live)]
        stranger = next(tenant for tenant in ("bolt", "cove") if tenant != guest)
        tenant = {"owner": "acme", "guest": guest, "stranger": stranger}[by]
        [share] = [
            item
            for item in self.world.run(self.world.shares.all(admin("acme")))
            if (item.guest, item.project_id, item.dataset_id) == (guest, project, dataset)
        ]
        found = self.world.all_at_once(*(self.world.shares.revoke(admin(tenant), share.share_id) for _ in range(times)))
        if by == "stranger":
            assert all(isinstance(outcome, NotFound) for outcome in found)
        else:
            self.live.discard((guest, project, dataset))

    @precondition(lambda self: self.projects)
    @rule(data=st.data())
    def delete_project(self, data: st.DataObject) -> None:
        project = data.draw(st.sampled_from(sorted(self.projects)))
        self.world.run(self.world.projects.delete(admin(self.projects.pop(project)), project))
        self.live = {item for item in self.live if item[1] != project}

    @precondition(lambda self: len(self.projects) < 2)
    @rule()
    def restore_project(self) -> None:
        for project, tenant in {"p-bolt": "bolt", "p-cove": "cove"}.items():
            if project not in self.projects:
                self.world.run(self.world.projects.restore(admin(tenant), project))
                self.projects[project] = tenant

    @precondition(lambda self: self.datasets)
    @rule(data=st.data(), is_back=st.booleans())
    def dataset_goes_and_comes(self, data: st.DataObject, is_back: bool) -> None:
        name = data.draw(st.sampled_from(["d-one", "d-two"]))
        (self.datasets.add if is_back else self.datasets.discard)(name)
        values = {"archived_at": None if is_back else self.world.now, "state": "live" if is_back else "archived"}
        statement = update(datasets).where(datasets.c.dataset_id == name).values(values)
        self.world.run(self.world.store.write(lambda connection: connection.execute(statement)))

    @rule(days=st.sampled_from([1.0, 8.0, 15.0]))
    def time_passes(self, days: float) -> None:
        self.world.now += days * DAY_S
        self.world.run(self.world.approvals.expire())

    @invariant()
    def guests_read_just_what_is_shared(self) -> None:
        for guest in TENANTS:
            found = self.world.store.read_now(lambda connection: read_shared(connection, guest))  # noqa: B023
            seen = sorted((item.project_name, item.namespace) for item in found)
            there = [(project, dataset) for whose, project, dataset in self.live if whose == guest]
            assert seen == sorted(item for item in there if item[1] in self.datasets)
