"""What proves us to an agent: kept sealed, per agent or per user, and turned into headers when it is called."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from sqlalchemy import Connection, delete, insert, select

from core.context import Principal
from core.errors import InvalidArgument, PlatformError, Unauthorized, Unavailable
from engine.egress.client import ClientCertificate, EgressClient
from engine.store.db import Store
from engine.store.tables import agent_credentials

NONE, BEARER, CLIENT, EXCHANGE, MTLS = "none", "bearer", "oauth2_client", "token_exchange", "mtls"
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
ACCESS_TYPE = "urn:ietf:params:oauth:token-type:access_token"
TTL_S = 2.0
EARLY_S = 30.0  # before its end a token counts as dead
MAX_LIFE_S = 3600.0
TOKEN_BYTES = 64 * 1024
MAX_KEPT = 10_000

TokenKey = tuple[str, str, str, float]
Seal = Callable[[str, bytes, bytes], bytes]
Assertion = Callable[[Principal, str], Awaitable[str]]
"""A short token that says who a principal is, for one audience alone; it opens nothing of ours."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as it was set; `secret` holds what its kind needs."""

    kind: str
    secret: Mapping[str, str]
    user_id: str
    updated_at: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What goes with a call."""

    headers: Mapping[str, str] = field(default_factory=dict)
    certificate: ClientCertificate | None = None
    fetched: TokenKey | None = None  # which token it is, where one was fetched

    @property
    def secret(self) -> bytes:
        """The token in the headers, which nobody but the agent may see."""
        return self.headers.get("authorization", "").rpartition(" ")[2].encode("ascii")


NO_PROOF = Proof()


class Credentials:
    """Sets and uses credentials. Nothing that was set is ever shown again."""

    def __init__(
        self,
        store: Store,
        egress: EgressClient,
        *,
        seal: Seal,
        unseal: Seal,
        assertion: Assertion,
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self._egress = egress
        self._seal = seal
        self._unseal = unseal
        self._assertion = assertion
        self._clock = clock
        self._known: dict[tuple[str, str, str], tuple[float, Credential | None]] = {}
        self._tokens: dict[TokenKey, tuple[float, str]] = {}
        self._locks: dict[TokenKey, asyncio.Lock] = {}

    async def set(
        self, by: Principal, agent_id: str, kind: str, secret: Mapping[str, str], *, user_id: str = ""
    ) -> float:
        """Keep a credential in place of the one before; the kind `none` removes it. Raises Unauthorized."""
        if url := secret.get("token_url"):
            try:
                self._egress.check(url)
            except InvalidArgument as error:
                raise Unauthorized(error.message, hint=error.hint) from None
        now = self._clock()
        aad = f"{agent_id}\0{user_id}".encode()
        sealed = self._seal(by.tenant, json.dumps(dict(secret)).encode(), aad)

        def work(connection: Connection) -> None:
            there = (agent_credentials.c.tenant_id == by.tenant, agent_credentials.c.agent_id == agent_id)
            connection.execute(delete(agent_credentials).where(*there, agent_credentials.c.user_id == user_id))
            if kind != NONE:
                row = {"tenant_id": by.tenant, "agent_id": agent_id, "user_id": user_id, "kind": kind}
                connection.execute(
                    insert(agent_credentials).values(**row, secret=sealed, updated_by=by.subject, updated_at=now)
                )

        await self._store.write(work)
        self._known.clear()
        return now

    async def proof(self, by: Principal, agent_id: str, *, subject: str | None = None) -> Proof:
        """What a call for a principal carries: its own credential, else the agent's, else nothing.

        `subject` "" asks for the agent's own, for calls that are nobody's. Raises Unavailable."""
        user = by.subject if subject is None else subject
        found = await self._find(by.tenant, agent_id, user)
        if found is None:
            return NO_PROOF
        secret = found.secret
        if found.kind == BEARER:
            return Proof({"authorization": f"Bearer {secret['bearer_token']}"})
        if found.kind == MTLS:
            return Proof(certificate=ClientCertificate(secret["certificate"], secret["private_key"]))
        if found.kind in (CLIENT, EXCHANGE):
            key = (by.tenant, agent_id, by.subject if found.kind == EXCHANGE else found.user_id, found.updated_at)
            return Proof({"authorization": f"Bearer {await self._token(by, key, found)}"}, fetched=key)
        raise Unavailable("The agent's credential can not be used.", hint="set_agent_credential sets another.")

    async def _find(self, tenant: str, agent_id: str, user_id: str) -> Credential | None:
        key, now = (tenant, agent_id, user_id), time.monotonic()
        known = self._known.get(key)
        if known is not None and now < known[0]:
            return known[1]
        query = select(agent_credentials).where(
            agent_credentials.c.tenant_id == tenant,
            agent_credentials.c.agent_id == agent_id,
            agent_credentials.c.user_id.in_({"", user_id}),
        )
        rows = await self._store.read(
            lambda connection: connection.execute(query.order_by(agent_credentials.c.user_id.desc())).all()
        )
        found = self._open(tenant, agent_id, rows[0]) if rows else None
        if len(self._known) >= MAX_KEPT:
            self._known.clear()
        self._known[key] = (now + TTL_S, found)
        return found

    def _open(self, tenant: str, agent_id: str, row: Any) -> Credential:
        data = self._unseal(tenant, bytes(row.secret), f"{agent_id}\0{row.user_id}".encode())
        return Credential(row.kind, json.loads(data), row.user_id, row.updated_at)

    def forget(self, proof: Proof) -> bool:
        """Drop a fetched token that its agent has refused; false where there is none that could be fetched anew.

        Tokens end early: they are revoked, or a clock was set."""
        if proof.fetched is None:
            return False
        kept = self._tokens.get(proof.fetched)
        if kept is not None and kept[1].encode("ascii") == proof.secret:
            del self._tokens[proof.fetched]
        return True

    async def _token(self, by: Principal, key: TokenKey, found: Credential) -> str:
        """An access token, kept until shortly before its end; callers who need the same one share one request."""
        kept = self._tokens.get(key)
        if kept is not None and self._clock() < kept[0]:
            return kept[1]
        if len(self._locks) >= MAX_KEPT:
            self._locks.clear()
            self._tokens.clear()
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._tokens.get(key)
            if kept is None or self._clock() >= kept[0]:
                kept = self._tokens[key] = await self._ask(by, found)
            return kept[1]

    async def _ask(self, by: Principal, found: Credential) -> tuple[float, str]:
        secret = found.secret
        form = {name: secret[name] for name in ("scope", "audience", "resource") if secret.get(name)}
        if found.kind == EXCHANGE:
            # Never the token that the caller sent us: one of our own making, which is good there alone.
            subject_token = await self._assertion(by, secret.get("subject_audience") or _origin(secret["token_url"]))
            form |= {"grant_type": EXCHANGE_GRANT, "subject_token": subject_token, "subject_token_type": JWT_TYPE}
            form["requested_token_type"] = ACCESS_TYPE
        else:
            form["grant_type"] = "client_credentials"
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if secret.get("oauth_client"):
            pair = f"{quote(secret['oauth_client'], safe='')}:{quote(secret.get('oauth_secret', ''), safe='')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        try:
            answer = await self._egress.post(
                secret["token_url"], body=urlencode(form).encode(), headers=headers, max_bytes=TOKEN_BYTES
            )
            data = answer.json()
        except PlatformError:
            raise _no_token() from None
        token = data.get("access_token") if isinstance(data, dict) and answer.status == 200 else None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise _no_token()
        return self._clock() + max(0.0, _life(data.get("expires_in")) - EARLY_S), token


def _life(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return 300.0
    return min(max(float(given), 0.0), MAX_LIFE_S)


def _no_token() -> Unavailable:
    return Unavailable(
        "The agent's token endpoint gives no token.", hint="Check it, or set the credential again.", retry_after_s=5.0
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
