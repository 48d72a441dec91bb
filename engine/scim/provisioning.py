"""SCIM's users and groups over our users and roles: a group is a role, and its members are who has it.

Whoever provisions changes people by the same rules as any administrator, in one transaction for each request."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from core.context import Principal
from core.errors import NotFound
from engine.identity.directory import EXTERNAL_PREFIX
from engine.identity.grants import Giver
from engine.identity.people import People, UserDraft
from engine.identity.rolebook import Role, RoleBook, RoleDraft, all_roles, find_role
from engine.identity.users import User, UserFilter, find_login, find_user, page_of_users
from engine.scim.errors import refused, translated
from engine.scim.shapes import Shown, draft_of, group_of, kept_of, user_of
from engine.store.db import Store

MAX_PAGE = 1000
EVERYBODY = 1_000_000


@dataclass(frozen=True, slots=True)
class Question:
    """A listing as SCIM asks for it."""

    filter: str = ""
    sort_by: str = ""
    sort_order: str = ""
    start_index: int | None = None
    count: int | None = None
    shown: Shown = field(default_factory=Shown)

    def parameters(self) -> dict[str, Any]:
        asked = {
            "filter": self.filter,
            "sortBy": self.sort_by,
            "sortOrder": self.sort_order,
            "startIndex": self.start_index,
            "count": self.count,
        }
        return {name: value for name, value in asked.items() if value not in ("", None)}


class Provisioning:
    """Reads and writes documents of SCIM, as JSON."""

    def __init__(
        self, *, store: Store, people: People, roles: RoleBook, new_id: Callable[[], str] = lambda: uuid4().hex
    ):
        self._store = store
        self._people = people
        self._roles = roles
        self._new_id = new_id

    async def users(self, by: Principal, asked: Question) -> str:
        """A page of users. Raises ScimRefused."""
        from engine.scim.models import User as Shape  # SCIM's models take 20 MB and are seldom spoken

        def work(connection: Connection) -> str:
            names = _role_names(connection, by.tenant)
            if not asked.filter and not asked.sort_by:
                start, count = max(1, asked.start_index or 1), _count(asked)
                some, total = page_of_users(connection, by.tenant, UserFilter(), offset=start - 1, size=count)
                return _listed(Shape, [user_of(user, names, asked.shown) for user in some], asked, start, total)
            found = self._candidates(connection, by.tenant, asked.filter)
            return _page(Shape, [user_of(user, names, asked.shown) for user in found], asked)

        return await self._store.read(work)

    async def user(self, by: Principal, user_id: str, shown: Shown) -> str:
        """Raises NotFound."""

        def work(connection: Connection) -> str:
            user = find_user(connection, by.tenant, user_id)
            return shown.dump(user_of(user, _role_names(connection, by.tenant), shown), "query")

        return await self._store.read(work)

    async def create_user(self, by: Principal, body: Mapping[str, Any], shown: Shown) -> str:
        """Raises ScimRefused, Unauthorized, Conflict."""
        from engine.scim.models import User as Shape

        with translated():
            asked = shown.read(Shape, body, "creation")
            asked.active = asked.active is not False
            draft = draft_of(asked)

        def work(connection: Connection, giver: Giver) -> str:
            made = self._people.create_now(connection, giver, by.tenant, draft)
            return shown.dump(user_of(made, _role_names(connection, by.tenant), shown), "creation")

        return await self._people.write(by, work)

    async def replace_user(self, by: Principal, user_id: str, body: Mapping[str, Any], shown: Shown) -> str:
        """Raises NotFound, ScimRefused, Unauthorized, Conflict."""
        return await self._change_user(by, user_id, shown, lambda was: shown.replaced(was, body))

    async def patch_user(self, by: Principal, user_id: str, body: Mapping[str, Any], shown: Shown) -> str:
        """Raises NotFound, ScimRefused, Unauthorized, Conflict."""
        return await self._change_user(by, user_id, shown, lambda was: shown.patched(was, body))

    async def delete_user(self, by: Principal, user_id: str) -> None:
        """Raises NotFound, Unauthorized, Conflict."""
        await self._people.delete(by, user_id)

    async def groups(self, by: Principal, asked: Question) -> str:
        """A page of groups. Raises ScimRefused."""
        from engine.scim.models import Group as Shape

        def work(connection: Connection) -> str:
            members = _members(connection, by.tenant)
            found = [
                group_of(role, members.get(role.role, ()), asked.shown) for role in all_roles(connection, by.tenant)
            ]
            return _page(Shape, found, asked)

        return await self._store.read(work)

    async def group(self, by: Principal, group_id: str, shown: Shown) -> str:
        """Raises NotFound."""
        return await self._store.read(
            lambda connection: shown.dump(self._group(connection, by.tenant, group_id, shown), "query")
        )

    async def create_group(self, by: Principal, body: Mapping[str, Any], shown: Shown) -> str:
        """A role without permissions, which an administrator gives it; and its members.

        Raises ScimRefused, Unauthorized, Conflict."""
        from engine.scim.models import Group as Shape

        with translated():
            asked = shown.read(Shape, body, "creation")

        def work(connection: Connection, giver: Giver) -> str:
            draft = RoleDraft(asked.display_name or "", "From a directory.", (), kept_of(asked))
            role = self._roles.create_now(connection, giver, self._new_id(), draft)
            self._set_members(connection, giver, role, _asked_members(asked))
            return shown.dump(self._group(connection, by.tenant, role.role, shown), "creation")

        return await self._people.write(by, work)

    async def replace_group(self, by: Principal, group_id: str, body: Mapping[str, Any], shown: Shown) -> str:
        """Raises NotFound, ScimRefused, Unauthorized, Conflict."""
        return await self._change_group(by, group_id, shown, lambda was: shown.replaced(was, body))

    async def patch_group(self, by: Principal, group_id: str, body: Mapping[str, Any], shown: Shown) -> str:
        """Raises NotFound, ScimRefused, Unauthorized, Conflict."""
        return await self._change_group(by, group_id, shown, lambda was: shown.patched(was, body))

    async def delete_group(self, by: Principal, group_id: str) -> None:
        """Take the role from everybody, and delete it. Raises NotFound, Unauthorized, Conflict."""

        def work(connection: Connection, giver: Giver) -> None:
            role = _exact_role(connection, by.tenant, group_id)
            if not role.is_built_in:
                self._set_members(connection, giver, role, frozenset())
            self._roles.delete_now(connection, giver, role.role)

        await self._people.write(by, work)

    async def everything(self, by: Principal, asked: Question) -> str:
        """A page of users and groups. Raises ScimRefused."""
        from engine.scim.models import Group
        from engine.scim.models import User as Person

        def work(connection: Connection) -> str:
            found, members = [], _members(connection, by.tenant)
            names = _role_names(connection, by.tenant)
            found += [user_of(user, names, asked.shown) for user in self._candidates(connection, by.tenant, "")]
            found += [
                group_of(role, members.get(role.role, ()), asked.shown) for role in all_roles(connection, by.tenant)
            ]
            return _page(Person | Group, found, asked)

        return await self._store.read(work)

    async def _change_user(self, by: Principal, user_id: str, shown: Shown, change: Callable[[Any], Any]) -> str:
        def work(connection: Connection, giver: Giver) -> str:
            names = _role_names(connection, by.tenant)
            user = find_user(connection, by.tenant, user_id)
            if user_id.startswith(EXTERNAL_PREFIX):
                raise refused("mutability", "This user is what its token issuer says.")
            with translated():
                draft = draft_of(change(user_of(user, names, shown)))
            changed = self._people.update_now(connection, giver, user_id, draft)
            return shown.dump(user_of(changed, names, shown), "replacement")

        return await self._people.write(by, work)

    async def _change_group(self, by: Principal, group_id: str, shown: Shown, change: Callable[[Any], Any]) -> str:
        def work(connection: Connection, giver: Giver) -> str:
            role = _exact_role(connection, by.tenant, group_id)
            with translated():
                asked = change(self._group(connection, by.tenant, group_id, shown))
            if not role.is_built_in:
                draft = RoleDraft(name=asked.display_name, profile=kept_of(asked))
                role = self._roles.update_now(connection, giver, role.role, draft)
            elif (asked.display_name or "").casefold() != role.name:
                raise refused("mutability", f"The role {role.role} is built in: its name stays.")
            self._set_members(connection, giver, role, _asked_members(asked))
            return shown.dump(self._group(connection, by.tenant, role.role, shown), "replacement")

        return await self._people.write(by, work)

    def _set_members(self, connection: Connection, giver: Giver, role: Role, wanted: frozenset[str]) -> None:
        present = {user.user_id: user for user in _members(connection, giver.tenant).get(role.role, ())}
        for user_id in sorted(wanted ^ present.keys()):
            try:
                user = present.get(user_id) or find_user(connection, giver.tenant, user_id)
            except NotFound:
                raise refused("invalidValue", "A member is no user of this tenant.") from None
            after = user.roles | {role.role} if user_id in wanted else user.roles - {role.role}
            self._people.update_now(connection, giver, user_id, UserDraft(roles=sorted(after)))

    def _group(self, connection: Connection, tenant: str, group_id: str, shown: Shown) -> Any:
        role = _exact_role(connection, tenant, group_id)
        return group_of(role, _members(connection, tenant, role.role).get(role.role, ()), shown)

    def _candidates(self, connection: Connection, tenant: str, text: str) -> Sequence[User]:
        """The users that a filter may mean: for the usual question after one login name, just that one."""
        prefix, _, quoted = text.partition(" eq ")
        if prefix.strip().lower() == "username" and quoted.count('"') == 2 and "\\" not in quoted:
            one = find_login(connection, tenant, json.loads(quoted.strip()))
            return [] if one is None else [one]
        return page_of_users(connection, tenant, UserFilter(), offset=0, size=EVERYBODY)[0]


def _page(shape: Any, found: list[Any], asked: Question) -> str:
    """A page of the resources that a filter matches, in order."""
    from scim2_models import SearchRequest

    with translated():
        search = SearchRequest[shape].model_validate(asked.parameters())
        matching = [item for item in found if search.filter is None or search.filter.match(item)]
        ordered = search.sort(matching) if search.sort_by else matching
        start = search.start_index_0 or 0
        return _listed(shape, ordered[start : start + _count(asked)], asked, start + 1, len(ordered))


def _listed(shape: Any, page: list[Any], asked: Question, start: int, total: int) -> str:
    from scim2_models import Context, ListResponse

    with translated():
        answer = ListResponse[shape](total_results=total, start_index=start, items_per_page=len(page), resources=page)
        text: str = answer.model_dump_json(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, **asked.shown.parameters(shape))
        return text


def _count(asked: Question) -> int:
    """How many to show at most; fewer than none is none (RFC 7644, 3.4.2.4)."""
    return MAX_PAGE if asked.count is None else max(0, min(asked.count, MAX_PAGE))


def _asked_members(group: Any) -> frozenset[str]:
    return frozenset(member.value for member in group.members or () if member.value)


def _exact_role(connection: Connection, tenant: str, group_id: str) -> Role:
    """By the role's own name: an alias is no id. Raises NotFound."""
    role = find_role(connection, tenant, group_id)
    if role.role != group_id:
        raise NotFound(f"No group {group_id[:64]!r}.")
    return role


def _role_names(connection: Connection, tenant: str) -> dict[str, str]:
    return {role.role: role.name for role in all_roles(connection, tenant)}


def _members(connection: Connection, tenant: str, role: str = "") -> dict[str, list[User]]:
    """Users by role."""
    found: dict[str, list[User]] = {}
    for user in page_of_users(connection, tenant, UserFilter(role=role), offset=0, size=EVERYBODY)[0]:
        for held in user.roles:
            found.setdefault(held, []).append(user)
    return found
