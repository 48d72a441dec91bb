"""Clients sign in: an id and a secret for a short-lived token (OAuth 2.0 client credentials)."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import Connection, select

from core.errors import Unauthenticated
from engine.identity.auth_file import CLIENT_ID, AuthFile
from engine.identity.brakes import Brakes, keys_of
from engine.identity.claims import Claims
from engine.identity.jws import encode
from engine.identity.secrets import matches
from engine.identity.signing import SigningKeys
from engine.store.db import Store
from engine.store.tables import clients, tenants

MAX_SECRET_CHARS = 256


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a client gets for its credentials, with the names of RFC 6749."""

    access_token: str
    token_type: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class _Known:
    client_id: str
    tenant: str
    secret_hash: str
    is_from_file: bool
    previous_hash: str | None = None  # of the secret before, while it still works


class ClientSignIn:
    """Checks credentials in threads of its own: fewer at a time than the brakes allow guesses, so that a
    burst of right sign-ins is never taken for guessing."""

    def __init__(
        self,
        *,
        store: Store,
        keys: SigningKeys,
        claims: Claims,
        auth_file: AuthFile,
        brakes: Brakes,
        lifetime_s: int,
        parallel: int = 4,
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self._keys = keys
        self._claims = claims
        self._auth_file = auth_file
        self._brakes = brakes
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="sign-in")

    async def issue_token(self, client_id: str, client_secret: str, address: str = "") -> AccessToken:
        """A token for a client. Raises Unauthenticated, or RateLimited after too many failures."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._issue, client_id, client_secret, address)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _issue(self, client_id: str, client_secret: str, address: str) -> AccessToken:
        charged = keys_of(client_id, address)
        self._brakes.charge_now(charged)
        is_sane = CLIENT_ID.fullmatch(client_id) is not None and len(client_secret) <= MAX_SECRET_CHARS
        known = self._find(client_id) if is_sane else None
        given = client_secret if is_sane else ""
        is_right = matches(given, known.secret_hash if known else None)
        if not is_right and known is not None and known.previous_hash is not None:
            is_right = matches(given, known.previous_hash)
        if not is_right or known is None:
            raise Unauthenticated(
                "The client id or the client secret is not right.", hint="Check both; secrets are case-sensitive."
            )
        self._brakes.refund_now(charged)
        return self._sign(known)

    def _find(self, client_id: str) -> _Known | None:
        from_file = self._auth_file.clients.get(client_id)
        tenant = from_file.tenant if from_file else None

        def work(connection: Connection) -> _Known | None:
            is_living = select(tenants.c.tenant_id).where(
                tenants.c.archived_at.is_(None), tenants.c.suspended_at.is_(None)
            )
            if from_file is not None:
                found = connection.scalar(is_living.where(tenants.c.tenant_id == tenant))
                return _Known(client_id, from_file.tenant, from_file.secret_hash, True) if found else None
            where = (
                clients.c.client_id == client_id,
                clients.c.disabled_at.is_(None),
                clients.c.tenant_id.in_(is_living),
            )
            columns = (clients.c.tenant_id, clients.c.secret_hash, clients.c.previous_hash, clients.c.previous_until)
            row = connection.execute(select(*columns).where(*where)).first()
            if row is None:
                return None
            is_overlap = row.previous_until is not None and self._clock() < row.previous_until
            previous = row.previous_hash if is_overlap else None
            return _Known(client_id, row.tenant_id, row.secret_hash, False, previous)

        return self._store.read_now(work)

    def _sign(self, client: _Known) -> AccessToken:
        shared = self._auth_file.shared if client.is_from_file else None
        lifetime_s = (self._auth_file.lifetime_s if client.is_from_file else None) or self._lifetime_s
        claims = self._claims.make(client.tenant, client.client_id, "client", lifetime_s)
        if shared is not None:
            return AccessToken(encode(claims, shared.key, shared.algorithm, None), "Bearer", lifetime_s)
        return AccessToken(self._keys.sign_now(claims), "Bearer", lifetime_s)
