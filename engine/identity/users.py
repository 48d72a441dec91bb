"""Users as rows of the store: how they are read, listed and told apart."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, func, or_, select

from core.errors import Conflict, NotFound
from engine.identity.directory import EXTERNAL_PREFIX
from engine.identity.grants import is_admin, read_roles
from engine.identity.names import login_key
from engine.store.tables import users

U = users.c

Status = Literal["active", "invited", "deactivated", "deleted"]


@dataclass(frozen=True, slots=True)
class User:
    """A user as administrators see it."""

    user_id: str
    tenant: str
    email: str
    name: str
    roles: frozenset[str]
    attributes: Mapping[str, str]
    issuer: str
    external_subject: str
    created_at: float
    updated_at: float | None
    invited_at: float | None
    deactivated_at: float | None
    deleted_at: float | None
    version: int
    profile: Mapping[str, Any]
    login: str

    @property
    def status(self) -> Status:
        if self.deleted_at is not None:
            return "deleted"
        if self.deactivated_at is not None:
            return "deactivated"
        return "invited" if self.invited_at is not None else "active"

    @property
    def is_living_admin(self) -> bool:
        return self.status == "active" and is_admin(self.roles)


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users to list; what is empty does not narrow."""

    status: str = ""
    role: str = ""
    text: str = ""


def find_user(connection: Connection, tenant: str, user_id: str, *, is_deleted_too: bool = False) -> User:
    """Raises NotFound."""
    row = connection.execute(select(users).where(U.tenant_id == tenant, U.user_id == user_id)).mappings().first()
    if row is None or (row["deleted_at"] is not None and not is_deleted_too):
        raise NotFound(f"No user {user_id[:64]!r}.", hint="list_users shows the users.")
    return read_user(row)


def page_of_users(
    connection: Connection, tenant: str, wanted: UserFilter, *, offset: int, size: int
) -> tuple[Sequence[User], int]:
    """Users by age, and how many there are."""
    where = [U.tenant_id == tenant, *_conditions(wanted)]
    total = connection.scalar(select(func.count()).select_from(users).where(*where)) or 0
    order = select(users).where(*where).order_by(U.created_at, U.user_id).offset(offset).limit(size)
    return [read_user(row) for row in connection.execute(order).mappings()], total


def find_login(connection: Connection, tenant: str, login: str) -> User | None:
    """The user who is not deleted and goes by that address, login name or id."""
    key = login_key(login)
    if not key or not (login + tenant).isprintable():  # no database keeps half a surrogate pair, or NUL
        return None
    named = or_(U.email_key == key, U.login_key == key, U.user_id == login)
    rows = connection.execute(select(users).where(U.tenant_id == tenant, U.deleted_at.is_(None), named)).mappings()
    found = [read_user(row) for row in rows]
    exact = [user for user in found if user.user_id == login] or found
    return exact[0] if len(exact) == 1 else None


def check_login_free(connection: Connection, tenant: str, texts: Sequence[str], *, but: str = "") -> None:
    """Whether no other user goes by these addresses or login names. Raises Conflict."""
    keys = {login_key(text) for text in texts} - {""}
    taken = select(U.user_id).where(
        U.tenant_id == tenant,
        U.deleted_at.is_(None),
        U.user_id != but,
        or_(U.email_key.in_(keys), U.login_key.in_(keys), U.user_id.in_([text for text in texts if text])),
    )
    if keys and connection.scalar(taken.limit(1)) is not None:
        raise Conflict("Another user has that address or login name.", hint="list_users with `q` finds who.")


def check_link_free(connection: Connection, tenant: str, issuer: str, external_subject: str, *, but: str) -> None:
    """Whether an external identity is linked to nobody else. Raises Conflict."""
    linked = select(U.user_id).where(
        U.tenant_id == tenant,
        U.issuer == issuer,
        U.external_subject == external_subject,
        U.user_id != but,
        ~U.user_id.startswith(EXTERNAL_PREFIX),  # made on first sight: gives way to the link
    )
    if connection.scalar(linked.limit(1)) is not None:
        raise Conflict("That external identity is linked to another user.", hint="Unlink it there first.")


def read_user(row: RowMapping) -> User:
    return User(
        user_id=row["user_id"],
        tenant=row["tenant_id"],
        email=row["email"],
        name=row["name"],
        roles=read_roles(row["roles"]),
        attributes=json.loads(row["attributes"]),
        issuer=row["issuer"],
        external_subject=row["external_subject"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        invited_at=row["invited_at"],
        deactivated_at=row["deactivated_at"],
        deleted_at=row["deleted_at"],
        version=row["version"],
        profile=json.loads(row["profile"]),
        login=row["login_key"],
    )


def _conditions(wanted: UserFilter) -> list[Any]:
    found: list[Any] = [U.deleted_at.is_not(None) if wanted.status == "deleted" else U.deleted_at.is_(None)]
    if wanted.status == "deactivated":
        found.append(U.deactivated_at.is_not(None))
    elif wanted.status in ("active", "invited"):
        is_invited = U.invited_at.is_not(None) if wanted.status == "invited" else U.invited_at.is_(None)
        found += [U.deactivated_at.is_(None), is_invited]
    if wanted.role:
        found.append(U.roles.contains(json.dumps(wanted.role), autoescape=True))
    if wanted.text:
        text = wanted.text.lower()
        found.append(
            or_(
                func.lower(U.name).contains(text, autoescape=True),
                U.email_key.contains(login_key(text), autoescape=True),
                U.user_id == wanted.text,
            )
        )
    return found
