"""Sign-in by OAuth 2.1 as one part: what its endpoints and pages do, whatever protocol carries them.

`base` is the address under which the caller reached us: the public URL where there is one."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from engine.egress.client import EgressClient
from engine.identity.administration import Administration
from engine.identity.brakes import Brakes, guess_key, network_of
from engine.identity.claims import Claims
from engine.identity.directory import Directory
from engine.identity.external import ExternalUsers
from engine.identity.issuers import Issuer
from engine.identity.oauth.apps import App, Apps
from engine.identity.oauth.asks import Ask, host_of, read_ask, read_scopes, resource_of
from engine.identity.oauth.browsers import Browsers
from engine.identity.oauth.codes import Codes
from engine.identity.oauth.consents import Consents, SignedInto
from engine.identity.oauth.devices import INTERVAL_S, LIFETIME_S, Devices, Waiting
from engine.identity.oauth.passkeys import Passkeys
from engine.identity.oauth.providers import Providers
from engine.identity.oauth.redirects import form_target
from engine.identity.oauth.refusals import (
    InvalidClient,
    InvalidGrant,
    OAuthRefused,
    Pending,
    SlowDown,
    UnsupportedGrantType,
)
from engine.identity.oauth.tokens import FamilyTokens, Issued
from engine.identity.rights import Rights
from engine.identity.sessions import Session
from engine.identity.signing import SigningKeys
from engine.identity.vault import Vault
from engine.store.db import Store

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
VISITS = 6  # times as many as guesses: from one network in a minute


@dataclass(frozen=True, slots=True)
class Ground:
    """What sign-in stands on."""

    store: Store
    vault: Vault
    egress: EgressClient
    keys: SigningKeys
    claims: Claims
    rights: Rights
    admin: Administration
    directory: Directory
    external_users: ExternalUsers
    changed: Callable[[str], None]
    clock: Callable[[], float]


class Caller(Protocol):
    """Where a request came from, and under which address it reached us."""

    @property
    def base(self) -> str: ...

    @property
    def address(self) -> str: ...

    @property
    def agent(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page tells a person about an application that asks."""

    client: str
    client_host: str
    redirect_host: str
    form_target: str
    scopes: tuple[str, ...]
    resource: str
    is_agreed: bool = False
    is_own: bool = False


class OAuth:
    """The endpoints' and pages' work. Raises what `refusals` names; everything else is a PlatformError."""

    def __init__(self, ground: Ground, *, providers: Mapping[str, Issuer], guesses_per_minute: int):
        store, clock, sessions = ground.store, ground.clock, ground.admin.sessions
        self._apps = Apps(store=store, egress=ground.egress, clock=clock)
        self._codes = Codes(store=store, clock=clock)
        self._consents = Consents(store=store, changed=ground.changed, clock=clock)
        self._devices = Devices(store=store, clock=clock)
        self._tokens = FamilyTokens(
            keys=ground.keys, claims=ground.claims, sessions=sessions, rights=ground.rights, clock=clock
        )
        self.browsers = Browsers(
            sessions=sessions, rights=ground.rights, key=ground.vault.purpose_key("sign-in forms"), clock=clock
        )
        self.providers = Providers(
            issuers=providers,
            egress=ground.egress,
            users=ground.external_users,
            rights=ground.rights,
            browsers=self.browsers,
            clock=clock,
        )
        self.passkeys = Passkeys(store=store, rights=ground.rights, browsers=self.browsers, clock=clock)
        self._sessions = sessions
        self._directory = ground.directory
        self._passwords = ground.admin.passwords
        self._brakes = Brakes(store=store, per_minute=guesses_per_minute * VISITS, clock=clock)

    async def register(self, said: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Take an application in (RFC 7591)."""
        await self._brake("register", caller)
        return await self._apps.register(said)

    async def show(self, session: Session, said: Mapping[str, str], caller: Caller) -> Shown:
        """Check what an application asks, for the page that shows it."""
        ask = await self._ask(said, caller)
        return Shown(
            ask.app.name,
            host_of(ask.app.client_id) if ask.app.kind == "document" else "",
            host_of(ask.redirect_uri),
            form_target(ask.redirect_uri),
            tuple(sorted(ask.scopes or ())),
            ask.resource,
            await self._consents.is_agreed(session, ask),
            ask.app.kind == "own",
        )

    async def answer(
        self, session: Session, said: Mapping[str, str], caller: Caller, *, is_allowed: bool, is_new: bool
    ) -> tuple[str, dict[str, str]]:
        """Where to send the person back to, and with what. Without `is_new`, only what was agreed to before."""
        ask = await self._ask(said, caller)
        back = {"state": ask.state} if "state" in said else {}
        back["iss"] = caller.base  # RFC 9207
        if not is_allowed:
            return ask.redirect_uri, {"error": "access_denied", **back}
        if is_new:
            await self._consents.agree(session, ask)
        elif not await self._consents.is_agreed(session, ask):
            raise OAuthRefused("Nobody has agreed to this yet.")
        await self._apps.note_use(ask.app)
        return ask.redirect_uri, {"code": await self._codes.make(session, ask), **back}

    async def token(self, form: Mapping[str, str], basic: tuple[str, str] | None, caller: Caller) -> Issued:
        """Tokens for a code, a refresh token or an answered device. Those who fail too often wait: RateLimited."""
        try:
            return await self._token(form, basic, caller)
        except (Pending, SlowDown):
            raise
        except (OAuthRefused, InvalidClient):
            await self._brake("token", caller)
            raise

    async def _token(self, form: Mapping[str, str], basic: tuple[str, str] | None, caller: Caller) -> Issued:
        kind = form.get("grant_type", "")
        if kind not in ("authorization_code", "refresh_token", DEVICE_GRANT):
            hint = "authorization_code, refresh_token, or the device grant; client_credentials at /auth/token."
            raise UnsupportedGrantType(f"No grant_type {kind[:64]!r} here.", hint=hint)
        app = await self._proven(form, basic)
        if kind == "refresh_token":
            scope = read_scopes(form["scope"]) if form.get("scope", "").strip() else None
            token, resource = form.get("refresh_token", ""), form.get("resource", "")
            return await self._tokens.renew(token, app, caller.base, scope=scope, resource=resource)
        if kind == DEVICE_GRANT:
            granted = await self._devices.take(form.get("device_code", ""), app)
            return await self._tokens.open(granted, caller.base, address=caller.address, agent=caller.agent)
        return await self._exchange(form, app, caller)

    async def revoke(self, form: Mapping[str, str], basic: tuple[str, str] | None) -> Session | None:
        """End the sign-in of a token (RFC 7009)."""
        return await self._tokens.revoke(form.get("token", ""), await self._proven(form, basic))

    async def start_device(self, form: Mapping[str, str], caller: Caller) -> dict[str, Any]:
        """A code for a device to show (RFC 8628)."""
        await self._brake("device", caller)
        app = await self._apps.find(form.get("client_id", ""))
        resource = form.get("resource", "") or caller.base
        resource_of(resource, caller.base)
        scopes = read_scopes(form.get("scope", ""))
        device, shown = await self._devices.start(app, scopes, resource, caller.address)
        page = f"{caller.base}/oauth/device"
        return {
            "device_code": device,
            "user_code": shown,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={shown}",
            "expires_in": LIFETIME_S,
            "interval": INTERVAL_S,
        }

    async def find_device(self, user_code: str, caller: Caller) -> tuple[Shown, Waiting]:
        """The device that shows a code, for the page. Raises NotFound, RateLimited on guessing."""
        await self._brake("user-code", caller)
        waiting = await self._devices.find(user_code)
        app = await self._apps.find(waiting.client_id)
        scopes = tuple(sorted(waiting.scopes or ()))
        shown = Shown(app.name, "", "", "", scopes, waiting.resource, is_own=app.kind == "own")
        return shown, waiting

    async def answer_device(self, session: Session, user_code: str, caller: Caller, *, is_allowed: bool) -> str:
        """What a person says to a device, and which application that is."""
        await self._brake("user-code", caller)
        return await self._devices.answer(session, user_code, is_allowed=is_allowed)

    async def who(self, session: Session) -> str:
        """The person's name, for the person."""
        profile = await self._directory.profile(session.tenant, session.subject)
        known = " · ".join(text for text in (profile.name, profile.email) if text)
        return f"{known or session.subject} ({profile.tenant_name})"

    async def applications(self, session: Session) -> list[tuple[App, SignedInto]]:
        """What acts for a person, or may come back without asking."""
        found = []
        for used in await self._consents.listing(session):
            try:
                found.append((await self._apps.find(used.client_id), used))
            except InvalidClient:  # its registration is gone, what it was allowed is not
                found.append((App(used.client_id, used.client_id, (), "registered"), used))
        return found

    async def forget(self, session: Session, client_id: str) -> None:
        """Sign an application out everywhere, and ask the person again when it comes back."""
        await self._consents.forget(session, client_id)

    async def sign_in(self, tenant: str, login: str, password: str, caller: Caller) -> str:
        """A cookie for a name and a password. Raises Unauthenticated with one text for every cause, RateLimited."""
        user_id = await self._passwords.verify(tenant, login, password, caller.address)
        return await self.browsers.open(tenant, user_id, address=caller.address, agent=caller.agent)

    async def sign_in_by_passkey(self, sealed: str, answer: str, browser: str, caller: Caller) -> str:
        """A cookie for whoever's device answered. Raises Unauthenticated with one text for every cause, RateLimited."""
        await self._brake("passkey", caller)
        tenant, user_id = await self.passkeys.check(sealed, answer, caller.base, browser)
        return await self.browsers.open(tenant, user_id, address=caller.address, agent=caller.agent)

    async def accept_link(
        self, purpose: Literal["invitation", "password"], secret: str, password: str, caller: Caller
    ) -> str:
        """Use a one-time link up, and a cookie for its owner. Raises NotFound, Conflict."""
        await self._brake("link", caller)
        user = await self._passwords.accept(secret, purpose, password, address=caller.address)
        return await self.browsers.open(user.tenant, user.user_id, address=caller.address, agent=caller.agent)

    async def ask_link(self, tenant: str, login: str, caller: Caller) -> None:
        """Have a link mailed to whoever goes by that name. Nothing tells whether anybody does."""
        await self._brake("ask-link", caller)
        self._passwords.ask_link(tenant, login)

    async def leave(self, provider: str, next_path: str, caller: Caller) -> tuple[str, str]:
        """Where to send somebody who signs in at a provider, and a cookie for the way. Raises NotFound, Unavailable."""
        await self._brake("provider", caller)
        return await self.providers.leave(provider, caller.base, next_path)

    async def come_back(self, sealed: str, said: Mapping[str, str], caller: Caller) -> tuple[str, str]:
        """A cookie for somebody who came back, and where to go on. Raises Unauthenticated, Unavailable."""
        await self._brake("provider", caller)
        arrived = await self.providers.come_back(sealed, said, caller.base)
        cookie = await self.browsers.open(arrived.tenant, arrived.subject, address=caller.address, agent=caller.agent)
        return cookie, arrived.next_path

    async def _ask(self, said: Mapping[str, str], caller: Caller) -> Ask:
        return await read_ask(self._apps, said, caller.base)

    async def _exchange(self, form: Mapping[str, str], app: App, caller: Caller) -> Issued:
        code, resource = form.get("code", ""), form.get("resource", "")
        try:
            granted = await self._codes.take(
                code, app, redirect_uri=form.get("redirect_uri", ""), verifier=form.get("code_verifier", "")
            )
            if resource and resource.rstrip("/") != granted.resource.rstrip("/"):
                raise InvalidGrant("The code was asked for another resource.")
        except InvalidGrant as refused:
            whose = await self._codes.whose(code)
            if whose is not None:
                refused.tenant, refused.subject, opened = whose
                await self._sessions.end(refused.tenant, opened)
            raise
        issued = await self._tokens.open(granted, caller.base, address=caller.address, agent=caller.agent)
        await self._codes.note_session(code, issued.session.session_id)
        return issued

    async def _proven(self, form: Mapping[str, str], basic: tuple[str, str] | None) -> App:
        if basic is not None and ("client_secret" in form or form.get("client_id", basic[0]) != basic[0]):
            raise InvalidClient("The application named itself twice.")
        client_id, secret = basic or (form.get("client_id", ""), form.get("client_secret", ""))
        if not client_id:
            raise InvalidClient("client_id is missing.")
        app = await self._apps.find(client_id)
        app.prove(secret)
        return app

    async def _brake(self, kind: str, caller: Caller) -> None:
        """So many attempts of a network in a minute. Raises RateLimited."""
        await asyncio.to_thread(self._brakes.charge_now, [guess_key(kind, network_of(caller.address or "?"))])
