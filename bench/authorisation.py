"""What it costs to decide whether somebody may: in a tenant of thousands as in one of ten.

10,000 users, 1,000 roles and 5,000 policies beside ten of each; and a start with a thousand tenants beside one.
A first sight reads a caller's standing from the store and decides on one table; a call has both at hand."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from bench._measure import compare
from bench._platform import registry_of, settings_of
from core.context import Principal
from core.dispatch import Call
from engine.identity.directory import tenant_row, user_row
from engine.policy.policy import Rule, Subjects
from engine.store.tables import policies, roles, tenants, users
from headwater.build import Platform, build

ROUNDS, CALLERS, CALLS = 9, 150, 1500
BUDGET = 1.2
TENANT, ORDERS = "default", "shop.orders"
NOW = 1_700_000_000.0


@dataclass(frozen=True, slots=True)
class Size:
    users: int
    roles: int
    policies: int


SMALL, LARGE = Size(10, 10, 10), Size(10_000, 1_000, 5_000)


@dataclass(frozen=True, slots=True)
class Town:
    """A platform, and tokens of some of its people."""

    platform: Platform
    people: Sequence[str]
    token: str


@asynccontextmanager
async def town(size: Size) -> AsyncIterator[Town]:
    with tempfile.TemporaryDirectory() as folder:
        platform = await build(settings_of(Path(folder)), registry=registry_of("tools"))
        engine = platform.engine
        await asyncio.to_thread(engine.lake.commit_now, TENANT, _table)
        await _policies(platform, size)
        await engine.store.write(lambda connection: _fill(connection, size))
        engine.identity._forget(TENANT)
        people = [f"user-{number}" for number in range(0, size.users, max(1, size.users // CALLERS))][:CALLERS]
        yield Town(platform, people, await engine.identity.mint(subject=people[0]))
        await platform.close()


def _table(catalog: Any) -> None:
    import pyarrow as pa

    catalog.create_namespace("shop")
    rows = pa.table({"id": pa.array([1, 2], pa.int64()), "region": ["eu", "us"]})
    catalog.create_table(ORDERS, schema=rows.schema).append(rows)


async def _policies(platform: Platform, size: Size) -> None:
    """Ten are about the table, the rest about others; each for the users of one role."""
    by = await platform.engine.identity.local_owner()
    rule = Rule("row_filter", "lakehouse", ORDERS, filter="region = 'eu'", applies_to=Subjects(frozenset({"role-0"})))
    bound = await platform.engine.rulebook.bind(by, rule)
    made = await platform.engine.catalog.policies.create(by, bound, name="first", policy_id="policy-0")

    def copy(connection: Any) -> None:
        row = dict(connection.execute(select(policies).where(policies.c.policy_id == made.policy_id)).mappings().one())
        more = [
            row
            | {
                "policy_id": f"policy-{number}",
                "table_name": ORDERS if number < 10 else f"shop.other_{number}",
                "rule": row["rule"].replace("role-0", f"role-{number % size.roles}"),
            }
            for number in range(1, size.policies)
        ]
        connection.execute(insert(policies), more)

    await platform.engine.store.write(copy)
    platform.engine.catalog.policies.forget(TENANT)


def _fill(connection: Any, size: Size) -> None:
    names = [f"role-{number}" for number in range(size.roles)]
    connection.execute(
        insert(roles),
        [{"tenant_id": TENANT, "role": name, "permissions": '["query.run"]', "description": ""} for name in names],
    )
    held = [[names[(number * step) % size.roles] for step in (1, 3, 7)] for number in range(size.users)]
    rows = [
        user_row(TENANT, f"user-{number}", given, NOW, email=f"user-{number}@example.com")
        for number, given in enumerate(held)
    ]
    connection.execute(insert(users), rows)


async def first_sight(place: Town) -> float:
    """CPU of finding out who somebody is and what of a table they see, in microseconds."""
    engine = place.platform.engine
    engine.identity._forget(TENANT)
    await engine.catalog.view(await engine.identity.principal_of(TENANT, place.people[0], "user"), "lakehouse")
    started, number = time.process_time(), 0
    while number < CALLERS:
        engine.identity._forget(TENANT)
        for subject in place.people:
            by = await engine.identity.principal_of(TENANT, subject, "user")
            view = await engine.catalog.view(by, "lakehouse")
            view.find(tuple(ORDERS.split(".")))
            number += 1
    return (time.process_time() - started) / number * 1e6


async def known(place: Town) -> float:
    """CPU of a call of somebody who has just called, with the decision on a table, in microseconds."""
    platform, engine = place.platform, place.platform.engine
    by: Principal = await engine.identity.verify(place.token)
    started = time.process_time()
    for number in range(CALLS):
        await platform.dispatcher.call(Call("ping", {}, "bench", f"r{number}", token=place.token))
        (await engine.catalog.view(by, "lakehouse")).find(tuple(ORDERS.split(".")))
    while engine.audit.backlog:
        await asyncio.sleep(0.005)
    return (time.process_time() - started) / CALLS * 1e6


async def starts() -> list[tuple[float, float]]:
    """CPU of a start with a thousand tenants beside one with one, in milliseconds."""
    with tempfile.TemporaryDirectory() as few, tempfile.TemporaryDirectory() as many:
        homes = [settings_of(Path(folder)) for folder in (many, few)]
        for settings, count in zip(homes, (1000, 1), strict=True):
            platform = await build(settings, registry=registry_of("tools"))
            key = platform.engine.vault.new_tenant_key()
            rows = [
                tenant_row(f"t{number}", f"Tenant {number}", "free", wrapped_key=key, now=NOW)
                for number in range(count)
            ]
            await platform.engine.store.write(_inserting(rows))
            await platform.close()
        found = []
        for _ in range(ROUNDS):
            pair = []
            for settings in homes:
                started = time.process_time()
                await (await build(settings, registry=registry_of("tools"))).close()
                pair.append((time.process_time() - started) * 1e3)
            found.append((pair[0], pair[1]))
        return found


def _inserting(rows: list[dict[str, Any]]) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(insert(tenants), rows)


async def main() -> None:
    async with AsyncExitStack() as stack:
        large, small = [await stack.enter_async_context(town(size)) for size in (LARGE, SMALL)]
        for what, measure in (("a caller seen for the first time", first_sight), ("a caller who is known", known)):
            for place in (large, small):
                await measure(place)  # warms up
            pairs = [(await measure(large), await measure(small)) for _ in range(ROUNDS)]
            compare(f"{what}, 10,000 users beside 10", "us CPU", pairs, BUDGET)
    compare("a start, 1,000 tenants beside one", "ms CPU", await starts(), BUDGET)


if __name__ == "__main__":
    asyncio.run(main())
