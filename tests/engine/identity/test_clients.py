"""Clients sign in, and guessing is braked."""

import asyncio
import statistics
import time

import pytest

from core.errors import Conflict, RateLimited, Unauthenticated
from engine.identity.jws import parse
from tests.engine.identity.world import World, on_both_stores

FILE = """
clients:
  your_client_id: your_client_secret
  another_client: another_secret
  nightly: {secret: hush, tenant: acme, roles: [DataEngineer]}
jwt:
  secret_key: "0123456789abcdef0123456789abcdef"
  algorithm: HS256
  expiration_hours: 2
"""


@on_both_stores
async def test_a_client_of_the_store_gets_a_token_signed_with_our_key(world: World) -> None:
    made = await world.identity.directory.create_client("default", roles=["viewer"], name="Reports")
    issued = await world.identity.issue_token(made.client_id, made.client_secret)
    assert (issued.token_type, issued.expires_in) == ("Bearer", 7200)
    caller = await world.identity.verify(issued.access_token)
    assert (caller.subject, caller.via, caller.credential_id) == (made.client_id, "client", made.client_id)
    assert parse(issued.access_token).algorithm == "RS256"


async def test_a_secret_of_ones_own_choice_works_and_is_stored_slowly_hashed(world: World) -> None:
    await world.identity.directory.create_client("default", client_id="cron", secret="correct horse", roles=["viewer"])
    assert (await world.identity.issue_token("cron", "correct horse")).expires_in == 7200
    with pytest.raises(Unauthenticated):
        await world.identity.issue_token("cron", "correct horses")


async def test_the_file_of_clients_acts_as_printed(world: World) -> None:
    (world.home / "auth_clients.yml").write_text(FILE)
    identity = world.process()
    await identity.directory.create_tenant("Acme", tenant_id="acme")
    issued = await identity.issue_token("your_client_id", "your_client_secret")
    assert (issued.expires_in, parse(issued.access_token).algorithm) == (7200, "HS256")
    caller = await identity.verify(issued.access_token)
    assert (caller.tenant, caller.roles, caller.via) == ("default", frozenset({"editor"}), "client")
    nightly = await identity.verify((await identity.issue_token("nightly", "hush")).access_token)
    assert (nightly.tenant, nightly.roles) == ("acme", frozenset({"data_engineer"}))
    with pytest.raises(Unauthenticated):
        await world.identity.verify(issued.access_token)  # a process without the file knows neither key nor client


async def test_ids_of_the_file_can_not_be_taken_in_the_store(world: World) -> None:
    (world.home / "auth_clients.yml").write_text("clients: {admin: hush}")
    with pytest.raises(Conflict, match="admin"):
        await world.process().bootstrap()
    (world.home / "auth_clients.yml").write_text("clients: {reporting: hush}")
    with pytest.raises(Conflict):
        await world.process().directory.create_user("default", user_id="reporting")


@on_both_stores
async def test_guessing_is_braked_per_client_in_all_processes_and_a_right_secret_too(world: World) -> None:
    people = world.identity.directory
    await people.create_client("default", client_id="cron", secret="right", roles=["viewer"])
    await people.create_client("default", client_id="other", secret="right", roles=["viewer"])
    processes = [world.identity, world.process()]
    for number in range(10):
        with pytest.raises(Unauthenticated):
            await processes[number % 2].issue_token("cron", f"guess {number}", f"192.0.2.{number}")
    for process in processes:
        with pytest.raises(RateLimited) as braked:
            await process.issue_token("cron", "right", "198.51.100.1")
        assert braked.value.retry_after_s == 6
    assert await processes[0].issue_token("other", "right", "192.0.2.1")
    world.clock.advance(6)
    assert await processes[0].issue_token("cron", "right", "198.51.100.1")


async def test_guessing_is_braked_per_address_over_many_clients(world: World) -> None:
    await world.identity.directory.create_client("default", client_id="cron", secret="right", roles=["viewer"])
    addresses = [f"2001:db8::{number}" for number in range(12)]  # one network
    for number in range(10):
        with pytest.raises(Unauthenticated):
            await world.identity.issue_token(f"client{number}", "guess", addresses[number])
    with pytest.raises(RateLimited):
        await world.identity.issue_token("cron", "right", addresses[11])
    assert await world.identity.issue_token("cron", "right", "2001:db8:1::1")


@on_both_stores
async def test_a_burst_of_guesses_does_not_slip_through_and_a_burst_of_right_ones_does(world: World) -> None:
    await world.identity.directory.create_client("default", client_id="cron", secret="right", roles=["viewer"])
    rights = [world.identity.issue_token("cron", "right", "192.0.2.1") for _ in range(20)]
    assert len(await asyncio.gather(*rights)) == 20
    guesses = [world.identity.issue_token("cron", f"guess {number}", "192.0.2.1") for number in range(30)]
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    kinds = [type(answer).__name__ for answer in answers]
    assert (kinds.count("Unauthenticated"), kinds.count("RateLimited")) == (10, 20)


@on_both_stores
async def test_an_odd_client_id_is_an_unknown_one(world: World) -> None:
    for odd in ("", "no such", "x" * 5000, "a\0b", "\ud800", "' OR 1=1 --", "%"):
        for client_id, secret in ((odd, "secret"), (f"cron{len(odd)}", odd)):
            with pytest.raises(Unauthenticated, match="is not right"):
                await world.identity.issue_token(client_id, secret)


async def test_time_does_not_tell_which_clients_exist(world: World) -> None:
    identity = world.process(guesses_per_minute=1000)
    await identity.directory.create_client("default", client_id="slow", secret="of my choice")
    await identity.directory.create_client("default", client_id="fast")
    spent = {}
    for client_id in ("slow", "fast", "unknown"):
        runs = []
        for _ in range(5):
            started = time.perf_counter()
            with pytest.raises(Unauthenticated):
                await identity.issue_token(client_id, "guess")
            runs.append(time.perf_counter() - started)
        spent[client_id] = statistics.median(runs)
    assert min(spent.values()) > 0.3 * max(spent.values()), spent
