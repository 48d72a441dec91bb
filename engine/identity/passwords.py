"""Passwords of users: set by a one-time link, checked at sign-in, the same answer whether the user exists.

Guesses are counted for each user and network, for each network, and for each user from everywhere. The last count
does not hold for a network from which the user has signed in before, so that a stranger who keeps guessing can not
lock the user out; and a link, which comes to the user alone, always lets it in."""

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, insert, select, update

from core.context import Principal
from core.errors import Conflict, Unauthenticated, Unauthorized
from engine.identity.brakes import Brakes, guess_key, network_of
from engine.identity.departures import end_passkeys, end_sessions
from engine.identity.directory import touch_tenant
from engine.identity.grants import Grants, refuse_agents
from engine.identity.links import OneTimeLink, OneTimeLinks, Purpose
from engine.identity.names import checked_name, login_key
from engine.identity.secrets import hash_password, matches
from engine.identity.tenants import find_tenant, min_password_chars
from engine.identity.users import User, find_login, find_user
from engine.store.db import Store
from engine.store.tables import passwords, users

P = passwords.c

MAX_CHARS = 256
MAX_NETWORKS = 8
MAX_SENDING = 32  # links at once that were asked for
ASKED_HOURS = 1.0  # a link that somebody asked for
GIVEN_HOURS = 24.0  # a link that an administrator hands over
T = TypeVar("T")

BY_PERSON = frozenset({"user", "local", "external"})


@dataclass(frozen=True, slots=True)
class _Known:
    user: User
    secret_hash: str | None
    networks: tuple[str, ...]


class Passwords:
    """Sets and checks passwords, in threads of its own: argon2 takes 30 ms of CPU."""

    def __init__(
        self,
        *,
        store: Store,
        links: OneTimeLinks,
        grants: Grants,
        brakes: Brakes,
        crowd: Brakes,
        changed: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self._links = links
        self._grants = grants
        self._brakes = brakes
        self._crowd = crowd  # guesses at one user from everywhere
        self._changed = changed
        self._clock = clock
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="password")
        self._sending: set[asyncio.Task[None]] = set()

    async def verify(self, tenant: str, login: str, password: str, address: str = "") -> str:
        """The user's id for an address, login name or id and a password.

        Raises Unauthenticated with one text for every cause, or RateLimited after too many failures."""
        return await self._in_thread(self._verify, tenant, login, password, address)

    async def change(self, by: Principal, present: str, new: str, address: str = "") -> None:
        """Set one's own password, knowing the present one; other sessions end. Raises Unauthorized, Conflict."""
        refuse_agents(by)
        if by.via not in BY_PERSON:
            raise Unauthorized("A password is changed by its owner.", hint="Sign in as yourself.")
        await self.verify(by.tenant, by.subject, present, address)
        await self._in_thread(self._set_by_id, by.tenant, by.subject, new)

    async def accept(self, secret: str, purpose: Purpose, password: str, *, name: str = "", address: str = "") -> User:
        """Use a link up: set the password, end the user's sessions, and take an invited user in.

        Raises NotFound for a link that does not work, Conflict for a password that is too simple."""
        return await self._in_thread(self._accept, secret, purpose, password, name, address)

    async def make_link(self, by: Principal, user_id: str) -> OneTimeLink:
        """A link for a user whom the caller manages, to be handed over. Raises NotFound, Unauthorized, Conflict."""

        def work(connection: Connection) -> OneTimeLink:
            giver = self._grants.giver(connection, by)
            user = find_user(connection, by.tenant, user_id)
            giver.check_above(connection, by.tenant, user.roles)
            if user.status != "active":
                raise Conflict(f"The user is {user.status}.", hint="Invite it, or let it in again first.")
            self._links.end(connection, by.tenant, user_id)
            return self._make(connection, user, by.subject, GIVEN_HOURS)

        link = await self._store.write(work)
        await self._links.deliver(link)
        return link

    def ask_link(self, tenant: str, login: str) -> None:
        """Have a link sent to whoever goes by that address. Nothing tells, not even time, whether anybody does."""
        if len(self._sending) >= MAX_SENDING:
            return  # anybody may ask, as often as they like
        task = asyncio.get_running_loop().create_task(self._send(tenant, login))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def close(self) -> None:
        for task in self._sending:
            task.cancel()
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _send(self, tenant: str, login: str) -> None:
        def work(connection: Connection) -> OneTimeLink | None:
            user = _reachable(connection, tenant, login)
            if user is None:
                return None
            if self._links.is_enough(connection, tenant, user.user_id):
                return None  # what was sent before still works
            return self._make(connection, user, user.user_id, ASKED_HOURS)

        if await self._store.read(lambda connection: _reachable(connection, tenant, login)) is None:
            return  # nothing is written for strangers
        link = await self._store.write(work)
        if link is not None:
            await self._links.deliver(link)

    def _make(self, connection: Connection, user: User, by: str, hours: float) -> OneTimeLink:
        return self._links.make(connection, user.tenant, user.user_id, "password", by=by, hours=hours, email=user.email)

    def _verify(self, tenant: str, login: str, password: str, address: str) -> str:
        network = network_of(address) if address else ""
        known = self._store.read_now(lambda connection: _find(connection, tenant, login))
        account = known.user.user_id if known else login_key(login)  # one count, by whichever name
        own = [guess_key("password", tenant, account, network)]
        own += [guess_key("password-address", network)] if network else []
        everywhere = [guess_key("password-all", tenant, account)]
        is_at_home = known is not None and _mark(tenant, known.user.user_id, network) in known.networks
        self._brakes.charge_now(sorted(own))
        if not is_at_home:
            self._crowd.charge_now(everywhere)
        is_sane = len(password) <= MAX_CHARS
        if not matches(password if is_sane else "", known.secret_hash if known else None) or known is None:
            raise Unauthenticated("The name or the password is not right.", hint="Check both, or ask for a new link.")
        self._brakes.refund_now(sorted(own))
        if not is_at_home:
            self._crowd.refund_now(everywhere)
            self._store.write_now(lambda connection: _remember(connection, known, network))
        return known.user.user_id

    def _set_by_id(self, tenant: str, user_id: str, password: str) -> None:
        secret_hash = hash_password(password)

        def work(connection: Connection) -> None:
            touch_tenant(connection, tenant)
            user = find_user(connection, tenant, user_id)
            _check_strength(connection, user, password)
            self._set(connection, user, secret_hash, "")

        try:
            self._store.write_now(work)
        finally:
            self._changed(tenant)

    def _accept(self, secret: str, purpose: Purpose, password: str, name: str, address: str) -> User:
        # Only a secret that opens something is worth the cost of a hash.
        tenant, _ = self._store.read_now(lambda connection: self._links.find(connection, secret, purpose))
        secret_hash, network = hash_password(password), network_of(address) if address else ""

        def work(connection: Connection) -> User:
            touch_tenant(connection, tenant)  # locks: of two uses the second finds no link
            _, user_id = self._links.find(connection, secret, purpose)
            user = find_user(connection, tenant, user_id)
            is_open = find_tenant(connection, tenant).status == "active" and user.deactivated_at is None
            if not is_open or (user.status == "invited") != (purpose == "invitation"):
                raise Conflict("This account is closed.", hint="Ask an administrator.")
            _check_strength(connection, user, password)
            values: dict[str, Any] = {"invited_at": None, "version": user.version + 1, "updated_at": self._clock()}
            if name:
                values["name"] = checked_name(name, "a user")
            where = (users.c.tenant_id == tenant, users.c.user_id == user_id)
            connection.execute(update(users).where(*where).values(values))
            end_passkeys(connection, tenant, user_id)  # whoever needed a link may have lost more than a password
            self._set(connection, user, secret_hash, network)
            return find_user(connection, tenant, user_id)

        try:
            return self._store.write_now(work)
        finally:
            self._changed(tenant)

    def _set(self, connection: Connection, user: User, secret_hash: str, network: str) -> None:
        """A new password ends what the old one opened: sessions, links, and remembered networks."""
        tenant, user_id, now = user.tenant, user.user_id, self._clock()
        marks = [_mark(tenant, user_id, network)] if network else []
        connection.execute(delete(passwords).where(P.tenant_id == tenant, P.user_id == user_id))
        row = {
            "tenant_id": tenant,
            "user_id": user_id,
            "secret_hash": secret_hash,
            "changed_at": now,
            "known_networks": json.dumps(marks),
        }
        connection.execute(insert(passwords).values(row))
        end_sessions(connection, tenant, user_id, now)
        self._links.end(connection, tenant, user_id)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def _find(connection: Connection, tenant: str, login: str) -> _Known | None:
    """Who may sign in by that name: an active user of an active tenant, who has a password."""
    is_open = find_login(connection, tenant, login)
    if is_open is None or is_open.status != "active" or not _is_open(connection, tenant):
        return None
    where = (P.tenant_id == tenant, P.user_id == is_open.user_id)
    row = connection.execute(select(P.secret_hash, P.known_networks).where(*where)).first()
    if row is None:
        return _Known(is_open, None, ())
    return _Known(is_open, row.secret_hash, tuple(json.loads(row.known_networks)))


def _reachable(connection: Connection, tenant: str, login: str) -> User | None:
    user = find_login(connection, tenant, login)
    return user if user is not None and user.status == "active" and user.email else None


def _is_open(connection: Connection, tenant: str) -> bool:
    return find_tenant(connection, tenant).status == "active"


def _remember(connection: Connection, known: _Known, network: str) -> None:
    if not network:
        return
    user = known.user
    mark = _mark(user.tenant, user.user_id, network)
    kept = [mark, *(other for other in known.networks if other != mark)][:MAX_NETWORKS]
    where = (P.tenant_id == user.tenant, P.user_id == user.user_id, P.secret_hash == known.secret_hash)
    connection.execute(update(passwords).where(*where).values(known_networks=json.dumps(kept)))


def _mark(tenant: str, user_id: str, network: str) -> str:
    return sha256(json.dumps([tenant, user_id, network]).encode()).hexdigest()[:32] if network else "?"


def _check_strength(connection: Connection, user: User, password: str) -> None:
    """Length is what counts (NIST SP 800-63B); a password that is one's name is not one. Raises Conflict."""
    least = min_password_chars(connection, user.tenant)
    if len(password) < least:
        raise Conflict(f"The password is shorter than {least} characters.", hint="Three or four words make a good one.")
    plain = password.casefold()
    own = {login_key(text) for text in (user.email, user.name, user.login, user.user_id)}
    if plain in own or len(set(plain)) < 4:
        raise Conflict("The password is too easy to guess.", hint="Three or four words make a good one.")
