"""Identity as one part: who calls, with which rights, and how tokens come about."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from core.context import Principal
from core.errors import Conflict, InvalidArgument, Unauthenticated, Unauthorized
from core.settings import AuthSettings
from engine.egress.client import EgressClient
from engine.identity.administration import Ground, open_administration
from engine.identity.auth_file import DEFAULT_TENANT, read_auth_file
from engine.identity.brakes import Brakes
from engine.identity.claims import Claims
from engine.identity.clients import AccessToken, ClientSignIn
from engine.identity.directory import Directory, Profile, tenant_row, user_row
from engine.identity.external import ExternalUsers
from engine.identity.issuers import RemoteKeys, read_issuers
from engine.identity.oauth.oauth import Ground as OAuthGround
from engine.identity.oauth.oauth import OAuth
from engine.identity.personal import NewPersonalToken, PersonalToken, PersonalTokens
from engine.identity.presence import Presence
from engine.identity.rights import Rights, Standing
from engine.identity.roles import BUILT_IN, SUPER_ADMIN, canonical
from engine.identity.signing import SigningKeys
from engine.identity.vault import Vault
from engine.identity.verify import IN_SESSION, ExternalIssuer, Verifier, principal_from
from engine.store.db import Store
from engine.store.tables import clients, tenants, users

OWN_ISSUER = "headwater"
ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What `bootstrap` made; all False on every later start."""

    made_tenant: bool
    made_admin: bool
    made_signing_key: bool


class Identity:
    """Verifies tokens, issues them, and knows the rights of everyone.

    `issuer` is the `iss` of our tokens: the public URL where there is one. Files are read once, here;
    a mistake in them raises InvalidArgument, so that a server does not start half configured."""

    def __init__(
        self,
        *,
        store: Store,
        vault: Vault,
        egress: EgressClient,
        settings: AuthSettings,
        home: Path,
        issuer: str = OWN_ISSUER,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ):
        self._store = store
        self._vault = vault
        self._clock = clock
        self._auth_file = read_auth_file(settings.clients_file or home / "auth_clients.yml")
        issuers = read_issuers(
            settings.issuers_file or home / "issuers.yml", audience=settings.audience, own_issuer=issuer
        )
        self._claims = Claims(issuer=issuer, audience=settings.audience, clock=clock, new_id=new_id)
        self._keys = SigningKeys(
            store=store, vault=vault, rotation_days=settings.key_rotation_days, clock=clock, new_id=new_id
        )
        self._rights = Rights(store=store, file_clients=self._auth_file.clients, clock=clock)
        self._personal = PersonalTokens(store=store, clock=clock, new_id=new_id)
        self.directory = Directory(
            store=store, vault=vault, reserved_ids=frozenset(self._auth_file.clients), clock=clock, new_id=new_id
        )
        file_clients = self._auth_file.clients
        ground = Ground(store, vault, self.directory, self._rights.load_now, self._forget, file_clients, clock, new_id)
        self.admin = open_administration(ground, guesses_per_minute=settings.guesses_per_minute)
        self.presence = Presence(self.check_present)
        self._sign_in = self._open_sign_in(settings)
        external_users = ExternalUsers(store=store, clock=clock)
        self.oauth = OAuth(
            OAuthGround(
                store=store,
                vault=vault,
                egress=egress,
                keys=self._keys,
                claims=self._claims,
                rights=self._rights,
                admin=self.admin,
                directory=self.directory,
                external_users=external_users,
                changed=self._forget,
                clock=clock,
            ),
            providers=issuers,
            guesses_per_minute=settings.guesses_per_minute,
        )
        known = {name: ExternalIssuer(found, RemoteKeys(found, egress, clock=clock)) for name, found in issuers.items()}
        self._verifier = self._open_verifier(known, external_users)

    def _open_verifier(self, issuers: Mapping[str, ExternalIssuer], external_users: ExternalUsers) -> Verifier:
        return Verifier(
            keys=self._keys,
            claims=self._claims,
            auth_file=self._auth_file,
            issuers=issuers,
            external_users=external_users,
            personal=self._personal,
            sessions=self.admin.sessions,
            rights=self._rights,
            clock=self._clock,
        )

    def _open_sign_in(self, settings: AuthSettings) -> ClientSignIn:
        return ClientSignIn(
            store=self._store,
            keys=self._keys,
            claims=self._claims,
            auth_file=self._auth_file,
            brakes=Brakes(store=self._store, per_minute=settings.guesses_per_minute, clock=self._clock),
            lifetime_s=settings.token_lifetime_s,
            parallel=min(4, max(1, settings.guesses_per_minute // 2)),
            clock=self._clock,
        )

    async def verify(self, token: str, at: str = "") -> Principal:
        """The principal of a bearer token, at a face or one of its addresses. Raises Unauthenticated."""
        return await self._verifier.verify(token, at)

    async def issue_token(self, client_id: str, client_secret: str, address: str = "") -> AccessToken:
        """A token for a client's credentials. Raises Unauthenticated, or RateLimited after too many failures."""
        return await self._sign_in.issue_token(client_id, client_secret, address)

    def jwks(self) -> dict[str, Any]:
        """The public keys of our tokens, as a JSON Web Key Set."""
        return self._keys.jwks()

    async def principal_of(self, tenant: str, subject: str, via: str, credential_id: str = "") -> Principal:
        """The rights that somebody has now, for work that goes on without their token.

        With via `token` and its id, the token must still live, and its permissions hold.
        Raises Unauthorized when the subject, its tenant, its token is gone."""
        standing = await self._rights.standing(tenant, subject)
        if standing is None or (via == "external" and SUPER_ADMIN in standing.subject.roles):
            raise _gone(subject)
        if credential_id.startswith(IN_SESSION):
            credential_id = ""  # what was begun in a session may outlast it
        if via != "token" or not credential_id:
            return principal_from(standing, via=via, credential_id=credential_id)
        token = await self._personal.find_by_id(tenant, credential_id)
        if token is None or token.subject != subject:
            raise _gone(subject)
        return principal_from(standing, via=via, credential_id=credential_id, permissions=token.permissions)

    async def check_present(self, then: Principal, needs: str) -> None:
        """Raises Unauthenticated when a caller, its token or its session is gone, Unauthorized without `needs`."""
        try:
            now = await self.principal_of(then.tenant, then.subject, then.via, then.credential_id)
            if then.credential_id.startswith(IN_SESSION):
                await self._check_session(then)
        except Unauthorized:
            raise Unauthenticated("You were signed out while this ran.", hint="Sign in again.") from None
        if "." in needs and needs not in now.permissions:
            raise Unauthorized(f"You lost the permission {needs} while this ran.")

    async def _check_session(self, then: Principal) -> None:
        session = await self.admin.sessions.find(then.tenant, then.credential_id.removeprefix(IN_SESSION))
        if session is None:
            raise _gone(then.subject)

    async def local_owner(self) -> Principal:
        """Whoever holds the home folder acts as the first administrator. Raises Unauthorized."""
        return await self.principal_of(DEFAULT_TENANT, ADMIN, "local")

    async def profile(self, principal: Principal) -> Profile:
        """Who a principal is, for showing it to itself."""
        return await self.directory.profile(principal.tenant, principal.subject)

    async def mint(
        self, *, role: str = ADMIN, subject: str = "", tenant: str = DEFAULT_TENANT, lifetime_s: float = 7200
    ) -> str:
        """A token for a user, or for the user who is named like a role and has just that; it is made if needed.

        Raises NotFound, Conflict, InvalidArgument or Unauthorized, saying why there can be none."""
        standing = await (self._known(tenant, subject) if subject else self._user_of_role(tenant, role))
        claims = self._claims.make(tenant, standing.subject.subject, standing.subject.kind, int(lifetime_s))
        return await asyncio.to_thread(self._keys.sign_now, claims)

    async def assertion(self, by: Principal, audience: str) -> str:
        """Two minutes' proof of who a principal is, for others: its audience is theirs, so it opens nothing of ours.

        Raises Unauthorized for an audience that is our own."""
        own = self._claims.expected.audience
        if audience == own or audience.startswith(f"{own}/"):
            raise Unauthorized("A token for others is never one for us.", hint="Name the audience of their server.")
        claims = self._claims.make(by.tenant, by.subject, "user", 120)
        return await asyncio.to_thread(self._keys.sign_now, claims | {"aud": audience})

    async def sign_document(self, document: bytes, published_at: str) -> tuple[str, str]:
        """A detached JWS of a document that is no token: its protected header and its signature."""
        return await asyncio.to_thread(self._keys.sign_document_now, document, published_at)

    async def create_personal_token(
        self, *, by: Principal, name: str, lifetime_days: int = 90, permissions: Sequence[str] | None = None
    ) -> NewPersonalToken:
        """Make a personal token for the caller. Raises Unauthorized for callers with one, and for agents."""
        return await self._personal.create(by=by, name=name, lifetime_days=lifetime_days, permissions=permissions)

    async def list_personal_tokens(
        self, *, by: Principal, offset: int = 0, size: int = 100
    ) -> tuple[Sequence[PersonalToken], int]:
        """The caller's own tokens, newest first, and how many there are."""
        return await self._personal.list(by=by, offset=offset, size=size)

    async def revoke_personal_token(self, token_id: str, *, by: Principal) -> None:
        """End one of the caller's own tokens: here at once, in other processes within 2 s."""
        await self._personal.revoke(token_id, by=by)
        self._verifier.forget()

    async def bootstrap(self) -> FirstStart:
        """Make the first tenant, its administrator and a signing key, where they are missing.

        Raises Unavailable when the root key is not this store's, Conflict when auth_clients.yml names somebody
        who is in the store already."""
        wrapped_key, now = self._vault.new_tenant_key(), self._clock()

        def work(connection: Connection) -> tuple[bool, bool, bytes]:
            module = postgresql if connection.dialect.name == "postgresql" else sqlite
            tenant = tenant_row(DEFAULT_TENANT, DEFAULT_TENANT, "enterprise", wrapped_key=wrapped_key, now=now)
            admin = user_row(DEFAULT_TENANT, ADMIN, [ADMIN], now, name="Administrator")
            made_tenant = connection.execute(module.insert(tenants).values(tenant).on_conflict_do_nothing()).rowcount
            made_admin = connection.execute(module.insert(users).values(admin).on_conflict_do_nothing()).rowcount
            self._check_file_clients(connection)
            statement = select(tenants.c.wrapped_key).where(tenants.c.tenant_id == DEFAULT_TENANT)
            return made_tenant > 0, made_admin > 0, bytes(connection.execute(statement).scalar_one())

        made_tenant, made_admin, stored_key = await self._store.write(work)
        self._vault.tenant_purpose_key(stored_key, "check")
        made_key = await asyncio.to_thread(self._keys.ensure_now)
        return FirstStart(made_tenant, made_admin, made_key)

    def close(self) -> None:
        self.presence.close()
        self._sign_in.close()
        self.admin.passwords.close()

    def _forget(self, tenant: str) -> None:
        """Somebody of this process changed who may do what in a tenant."""
        self._rights.forget(tenant)
        self._verifier.forget()

    async def _known(self, tenant: str, subject: str) -> Standing:
        standing = await self._rights.standing(tenant, subject)
        if standing is None:
            raise _gone(subject)
        return standing

    async def _user_of_role(self, tenant: str, role: str) -> Standing:
        name = canonical(role)
        standing = await self._rights.standing(tenant, name)
        if standing is None:
            if name not in BUILT_IN and not await self.directory.has_role(tenant, name):
                raise InvalidArgument(f"{role[:64]!r} is no role.", hint=f"Roles: {', '.join(BUILT_IN)}.")
            await self.directory.create_user(tenant, user_id=name, roles=[name])
            self._rights.forget(tenant)
            standing = await self._known(tenant, name)
        if standing.subject.roles != {name}:
            raise Conflict(f"The user {name!r} has other roles than {name}.", hint="Give it just that role.")
        return standing

    def _check_file_clients(self, connection: Connection) -> None:
        """Users and clients share one space of names: a subject must mean one caller."""
        names = list(self._auth_file.clients)
        in_store = connection.scalars(select(clients.c.client_id).where(clients.c.client_id.in_(names))).all()
        as_users = connection.scalars(select(users.c.user_id).where(users.c.user_id.in_(names))).all()
        if in_store or as_users:
            taken = ", ".join(sorted({*in_store, *as_users})[:5])
            raise Conflict(f"auth_clients.yml names ids that are in use already: {taken}.", hint="Rename them there.")


def _gone(subject: str) -> Unauthorized:
    return Unauthorized(
        f"{subject[:64]!r} may not act: it, its tenant or its token is gone or disabled.",
        hint="Ask an administrator, or start the server once if this home is new.",
    )
