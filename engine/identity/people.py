"""Users in the hands of administrators. Every change asks who gives what to whom."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Connection, insert, update

from core.context import Principal
from core.errors import Conflict, Unauthorized
from engine.identity.departures import end_access
from engine.identity.directory import EXTERNAL_PREFIX, Directory, checked_id, touch_tenant, user_row
from engine.identity.grants import (
    MANAGE_POLICIES,
    Giver,
    Grants,
    canonical_roles,
    check_admin_left,
    check_version,
)
from engine.identity.links import OneTimeLink, OneTimeLinks
from engine.identity.names import checked_email, checked_name, login_key
from engine.identity.tenants import invitation_days
from engine.identity.users import (
    User,
    UserFilter,
    check_link_free,
    check_login_free,
    find_login,
    find_user,
    page_of_users,
)
from engine.store.db import Store
from engine.store.tables import users

HOURS_A_DAY = 24
U = users.c

Changed = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UserDraft:
    """What is said about a user; None leaves it as it is."""

    email: str | None = None
    name: str | None = None
    roles: Sequence[str] | None = None
    attributes: Mapping[str, str] | None = None
    issuer: str | None = None
    external_subject: str | None = None
    login: str | None = None
    profile: Mapping[str, Any] | None = None
    is_active: bool | None = None


class People:
    """Makes and changes users of the caller's tenant. `changed` drops what this process remembers of a tenant."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        grants: Grants,
        links: OneTimeLinks,
        changed: Changed,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ):
        self._store = store
        self._directory = directory
        self._grants = grants
        self._links = links
        self._changed = changed
        self._clock = clock
        self._new_id = new_id

    async def listing(
        self, by: Principal, wanted: UserFilter, *, offset: int = 0, size: int = 100
    ) -> tuple[Sequence[User], int]:
        """Users of the caller's tenant by age, and how many there are."""
        return await self._store.read(
            lambda connection: page_of_users(connection, by.tenant, wanted, offset=offset, size=size)
        )

    async def get(self, by: Principal, user_id: str) -> User:
        """A user, also one who was deleted. Raises NotFound."""
        return await self._store.read(lambda connection: find_user(connection, by.tenant, user_id, is_deleted_too=True))

    async def admins(self, tenant: str) -> Sequence[User]:
        """The living administrators of a tenant, for whoever has to tell them something."""

        def work(connection: Connection) -> Sequence[User]:
            found = [
                user
                for role in ("admin", "super_admin")
                for user in page_of_users(connection, tenant, UserFilter("active", role), offset=0, size=1000)[0]
            ]
            return list({user.user_id: user for user in found}.values())

        return await self._store.read(work)

    async def create(self, by: Principal, draft: UserDraft, *, user_id: str = "") -> User:
        """Raises Unauthorized, NotFound for a role, Conflict."""
        return await self.write(
            by, lambda connection, giver: self.create_now(connection, giver, by.tenant, draft, user_id)
        )

    async def invite(self, by: Principal, draft: UserDraft) -> tuple[User, OneTimeLink]:
        """Make a user who comes in by setting a password; once more for one who has not come yet.

        Raises Unauthorized, NotFound for a role, Conflict."""
        user, link = await self.write(
            by, lambda connection, giver: self.invite_now(connection, giver, by.tenant, draft)
        )
        await self._links.deliver(link)
        return user, link

    async def update(
        self, by: Principal, user_id: str, draft: UserDraft, *, expected_version: int | None = None
    ) -> User:
        """Raises NotFound, Unauthorized, Conflict."""
        return await self.write(
            by, lambda connection, giver: self.update_now(connection, giver, user_id, draft, expected_version)
        )

    async def set_roles(
        self,
        by: Principal,
        user_id: str,
        change: Callable[[frozenset[str]], Iterable[str]],
        expected: int | None = None,
    ) -> User:
        """Give somebody other roles than they have. Raises NotFound, Unauthorized, Conflict."""

        def work(connection: Connection, giver: Giver) -> User:
            user = find_user(connection, giver.tenant, user_id)
            after = canonical_roles(change(user.roles))
            return self.update_now(connection, giver, user_id, UserDraft(roles=sorted(after)), expected)

        return await self.write(by, work)

    async def set_active(self, by: Principal, user_id: str, *, is_active: bool, expected: int | None = None) -> User:
        """Lock a user out, within 2 s at most, or let it in again. Raises NotFound, Unauthorized, Conflict."""
        return await self.update(by, user_id, UserDraft(is_active=is_active), expected_version=expected)

    async def delete(self, by: Principal, user_id: str) -> None:
        """Take a user out of sight and out of the platform; `restore` brings it back."""

        await self.write(by, lambda connection, giver: self.delete_now(connection, giver, user_id))

    async def restore(self, by: Principal, user_id: str) -> User:
        """Bring a deleted user back, with its roles. Raises NotFound, Unauthorized, Conflict."""

        def work(connection: Connection, giver: Giver) -> User:
            user = find_user(connection, giver.tenant, user_id, is_deleted_too=True)
            giver.check_above(connection, giver.tenant, user.roles)
            if user.deleted_at is None:
                return user
            check_login_free(connection, giver.tenant, [user.email, user.login], but=user_id)
            if user.external_subject and not user_id.startswith(EXTERNAL_PREFIX):
                check_link_free(connection, giver.tenant, user.issuer, user.external_subject, but=user_id)
            return self._set(connection, user, {"deleted_at": None})

        return await self.write(by, work)

    def create_now(
        self, connection: Connection, giver: Giver, tenant: str, draft: UserDraft, user_id: str = ""
    ) -> User:
        """`create` inside a transaction that holds the tenant."""
        chosen, roles = checked_id(user_id or self._new_id()), canonical_roles(draft.roles or ())
        giver.check_roles(connection, tenant, roles)
        if draft.attributes:
            self._check_attributes(giver, tenant, chosen)
        self._directory.check_free(connection, tenant, chosen)
        self._check_free(connection, tenant, draft, but="")
        check_login_free(connection, tenant, [user_id])
        email = checked_email(draft.email or "")
        row = user_row(
            tenant,
            chosen,
            roles,
            self._clock(),
            email=email,
            name=checked_name(draft.name or email, "a user"),
            attributes=draft.attributes,
            issuer=draft.issuer or "",
            external_subject=draft.external_subject or "",
        )
        row |= {
            "login_key": login_key(draft.login or ""),
            "profile": json.dumps(dict(draft.profile or {})),
            "deactivated_at": self._clock() if draft.is_active is False else None,
        }
        connection.execute(insert(users).values(row))
        return find_user(connection, tenant, chosen)

    def invite_now(
        self, connection: Connection, giver: Giver, tenant: str, draft: UserDraft
    ) -> tuple[User, OneTimeLink]:
        """`invite` inside a transaction that holds the tenant; delivering the link is left to the caller."""
        user = self._invited(connection, giver, tenant, draft)
        hours = invitation_days(connection, tenant) * HOURS_A_DAY
        self._links.end(connection, tenant, user.user_id)
        link = self._links.make(
            connection, tenant, user.user_id, "invitation", by=giver.subject, hours=hours, email=user.email
        )
        return user, link

    def update_now(
        self, connection: Connection, giver: Giver, user_id: str, draft: UserDraft, expected: int | None = None
    ) -> User:
        """`update` inside a transaction that holds the tenant."""
        user = find_user(connection, giver.tenant, user_id)
        check_version(expected, user.version, "The user")
        giver.check_above(connection, giver.tenant, user.roles)
        if draft.attributes is not None and dict(draft.attributes) != user.attributes:
            self._check_attributes(giver, giver.tenant, user_id)
        self._check_free(connection, giver.tenant, draft, but=user_id)
        changed = self._set(connection, user, self._values(connection, giver, user, draft))
        if changed.status == "deactivated" and user.status != "deactivated":
            end_access(connection, giver.tenant, user_id, self._clock())
        if user.is_living_admin and not changed.is_living_admin:
            check_admin_left(connection, giver.tenant)
        return changed

    def delete_now(self, connection: Connection, giver: Giver, user_id: str) -> None:
        """`delete` inside a transaction that holds the tenant."""
        user = find_user(connection, giver.tenant, user_id)
        giver.check_above(connection, giver.tenant, user.roles)
        self._set(connection, user, {"deleted_at": self._clock()})
        end_access(connection, giver.tenant, user_id, self._clock())
        if user.is_living_admin:
            check_admin_left(connection, giver.tenant)

    def _values(self, connection: Connection, giver: Giver, user: User, draft: UserDraft) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if draft.email is not None:
            email = checked_email(draft.email)
            found |= {"email": email, "email_key": login_key(email)}
        if draft.name is not None:
            found["name"] = checked_name(draft.name, "a user")
        if draft.roles is not None:
            after = canonical_roles(draft.roles)
            giver.check_new_roles(connection, giver.tenant, user.user_id, before=user.roles, after=after)
            found["roles"] = json.dumps(sorted(after))
        if draft.attributes is not None:
            found["attributes"] = json.dumps(dict(draft.attributes))
        if draft.issuer is not None or draft.external_subject is not None:
            found |= self._link(user, draft)
        if draft.login is not None:
            found["login_key"] = login_key(draft.login)
        if draft.profile is not None:
            found["profile"] = json.dumps(dict(draft.profile))
        if draft.is_active is not None:
            found["deactivated_at"] = None if draft.is_active else user.deactivated_at or self._clock()
        return found

    def _link(self, user: User, draft: UserDraft) -> dict[str, Any]:
        if user.user_id.startswith(EXTERNAL_PREFIX):
            raise Conflict("This user is what its issuer says.", hint="Link the identity to a user of your own making.")
        issuer = user.issuer if draft.issuer is None else draft.issuer
        subject = user.external_subject if draft.external_subject is None else draft.external_subject
        return {"issuer": issuer, "external_subject": subject}

    def _check_attributes(self, giver: Giver, tenant: str, user_id: str) -> None:
        """Policies decide by attributes, so setting them takes what changing policies takes."""
        if giver.is_self(tenant, user_id):
            raise Unauthorized("Nobody sets their own attributes.", hint="Ask another administrator.")
        giver.check_permissions([MANAGE_POLICIES])

    def _check_free(self, connection: Connection, tenant: str, draft: UserDraft, *, but: str) -> None:
        check_login_free(connection, tenant, [draft.email or "", draft.login or ""], but=but)
        if draft.external_subject:
            check_link_free(connection, tenant, draft.issuer or "", draft.external_subject, but=but)

    def _invited(self, connection: Connection, giver: Giver, tenant: str, draft: UserDraft) -> User:
        waiting = find_login(connection, tenant, draft.email or "")
        if waiting is None:
            user = self.create_now(connection, giver, tenant, draft)
            return self._set(connection, user, {"invited_at": self._clock()})
        if waiting.status != "invited":
            raise Conflict("There is a user with that address already.", hint="list_users with `q` finds who.")
        return self.update_now(connection, giver, waiting.user_id, replace(draft, email=None))

    def _set(self, connection: Connection, user: User, values: dict[str, Any]) -> User:
        where = (U.tenant_id == user.tenant, U.user_id == user.user_id)
        values = {**values, "version": user.version + 1, "updated_at": self._clock()}
        connection.execute(update(users).where(*where).values(values))
        return find_user(connection, user.tenant, user.user_id, is_deleted_too=True)

    async def write(self, by: Principal, work: Callable[[Connection, Giver], T]) -> T:
        """Run `work` holding the tenant's row, so that two administrators take turns. Raises Unauthorized."""

        def held(connection: Connection) -> T:
            touch_tenant(connection, by.tenant)
            return work(connection, self._grants.giver(connection, by))

        try:
            return await self._store.write(held)
        finally:
            self._changed(by.tenant)
