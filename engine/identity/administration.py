"""The desks of administrators: people, tenants, roles, clients, passwords and sessions, over one set of rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.identity.auth_file import FileClient
from engine.identity.brakes import Brakes
from engine.identity.clientbook import ClientBook
from engine.identity.directory import Directory
from engine.identity.grants import Grants, Load
from engine.identity.links import OneTimeLinks
from engine.identity.passwords import Passwords
from engine.identity.people import People
from engine.identity.rolebook import RoleBook
from engine.identity.sessions import Sessions
from engine.identity.tenants import Tenants
from engine.identity.vault import Vault
from engine.store.db import Store

CROWD = 10  # times as many guesses from everywhere as from one network


@dataclass(frozen=True, slots=True)
class Ground:
    """What the desks stand on. `changed` drops what this process remembers of a tenant."""

    store: Store
    vault: Vault
    directory: Directory
    load: Load
    changed: Callable[[str], None]
    file_clients: Mapping[str, FileClient]
    clock: Callable[[], float]
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Administration:
    """Who may change what of whom is decided in each of these, in the transaction of the change."""

    people: People
    tenants: Tenants
    roles: RoleBook
    clients: ClientBook
    passwords: Passwords
    sessions: Sessions
    links: OneTimeLinks


def open_administration(ground: Ground, *, guesses_per_minute: int) -> Administration:
    store, changed, clock, new_id = ground.store, ground.changed, ground.clock, ground.new_id
    grants, links = Grants(ground.load), OneTimeLinks(clock)
    return Administration(
        people=People(
            store=store,
            directory=ground.directory,
            grants=grants,
            links=links,
            changed=changed,
            clock=clock,
            new_id=new_id,
        ),
        tenants=Tenants(store=store, vault=ground.vault, grants=grants, changed=changed, clock=clock, new_id=new_id),
        roles=RoleBook(store=store, grants=grants, changed=changed, clock=clock),
        clients=ClientBook(
            store=store,
            directory=ground.directory,
            grants=grants,
            changed=changed,
            from_file=ground.file_clients,
            clock=clock,
            new_id=new_id,
        ),
        passwords=Passwords(
            store=store,
            links=links,
            grants=grants,
            brakes=Brakes(store=store, per_minute=guesses_per_minute, clock=clock),
            crowd=Brakes(store=store, per_minute=guesses_per_minute * CROWD, clock=clock),
            changed=changed,
            clock=clock,
        ),
        sessions=Sessions(store=store, grants=grants, changed=changed, clock=clock, new_id=new_id),
        links=links,
    )
