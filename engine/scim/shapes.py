"""From our users and roles to SCIM's resources, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from engine.identity.names import checked_email, checked_name
from engine.identity.people import UserDraft
from engine.identity.rolebook import Role
from engine.identity.users import User
from engine.scim.errors import refused

NOT_KEPT = {"id", "meta", "schemas", "groups", "members"}


@dataclass(frozen=True, slots=True)
class Shown:
    """How resources are shown: where they are, and which of their attributes."""

    base: str = ""
    attributes: str = ""
    excluded: str = ""

    def location(self, kind: str, item_id: str) -> str:
        return f"{self.base}/{kind}/{quote(item_id, safe='')}"

    def parameters(self, shape: Any) -> dict[str, Any]:
        """The attributes to show, checked against the resource that has them."""
        from scim2_models import ResponseParameters

        asked = {"attributes": self.attributes, "excludedAttributes": self.excluded}
        return {
            "response_parameters": ResponseParameters[shape].model_validate(
                {name: value for name, value in asked.items() if value}
            )
        }

    def dump(self, resource: Any, kind: str) -> str:
        """A resource as JSON."""
        from engine.scim.errors import translated

        with translated():
            text: str = resource.model_dump_json(
                scim_ctx=_context(f"RESOURCE_{kind.upper()}_RESPONSE"), **self.parameters(type(resource))
            )
        return text

    def read(self, shape: Any, body: Mapping[str, Any], kind: str) -> Any:
        """A resource as a client sends it. Raises what the models refuse."""
        from engine.scim.models import POLICY

        return shape.model_validate(
            dict(body), scim_ctx=_context(f"RESOURCE_{kind.upper()}_REQUEST"), scim_policy=POLICY
        )

    def replaced(self, was: Any, body: Mapping[str, Any]) -> Any:
        """What a PUT makes of a resource."""
        found = self.read(type(was), body, "replacement")
        found.replace(was)
        return found

    def patched(self, was: Any, body: Mapping[str, Any]) -> Any:
        """What a PATCH makes of a resource."""
        from scim2_models import Context, PatchOp

        from engine.scim.models import POLICY

        with POLICY:
            changes: Any = PatchOp.__class_getitem__(type(was))
            asked = changes.model_validate(dict(body), scim_ctx=Context.RESOURCE_PATCH_REQUEST)
            asked.patch(was)
        return was


def user_of(user: User, role_names: Mapping[str, str], shown: Shown) -> Any:
    """A user as SCIM shows it: what its directory said, where that still holds."""
    from engine.scim.models import User as Shape

    kept = dict(user.profile)
    if _name_in(kept) != user.name:
        kept["displayName"] = user.name
    if user.email and not any(_same(item.get("value"), user.email) for item in kept.get("emails") or ()):
        kept["emails"] = [{"value": user.email, "primary": True}]
    kept.setdefault("userName", user.email or user.user_id)
    if user.deactivated_at is not None or not user.profile or "active" in user.profile:  # else a directory took it off
        kept["active"] = user.deactivated_at is None
    kept["id"] = user.user_id
    kept["groups"] = [
        {"value": role, "$ref": shown.location("Groups", role), "display": role_names.get(role, role), "type": "direct"}
        for role in sorted(user.roles)
    ]
    kept["meta"] = _meta("User", shown.location("Users", user.user_id), user.created_at, user.updated_at)
    return _loaded(Shape, kept)


def group_of(role: Role, members: Sequence[User], shown: Shown) -> Any:
    """A role as SCIM shows it."""
    from engine.scim.models import Group as Shape

    kept = dict(role.profile)
    kept["id"], kept["displayName"] = role.role, role.name
    kept["members"] = [
        {
            "value": user.user_id,
            "$ref": shown.location("Users", user.user_id),
            "type": "User",
        }
        for user in members
    ]
    kept["meta"] = _meta("Group", shown.location("Groups", role.role), role.created_at, role.updated_at)
    return _loaded(Shape, kept)


def draft_of(asked: Any) -> UserDraft:
    """What a directory says about a user, as one of our changes. Raises Conflict, ScimRefused."""
    kept = kept_of(asked)
    login = checked_name(asked.user_name or "", "a user")
    email = next((str(item.value) for item in asked.emails or () if item.primary and item.value), "")
    email = email or next((str(item.value) for item in asked.emails or () if item.value), "")
    if not email and "@" in login:
        email = login
    if len(login) > 255 or len(email) > 255:
        raise refused("invalidValue", "A name is longer than 255 characters.")
    return UserDraft(
        email=checked_email(email) if email else "",
        name=(_name_in(kept) or login)[:255],
        login=login,
        profile=kept,
        is_active=asked.active is not False,
    )


def kept_of(asked: Any) -> dict[str, Any]:
    """What is kept of a document beside what we know ourselves. Raises ScimRefused when that is a lot."""
    found = asked.model_dump(mode="json", by_alias=True, exclude_none=True)
    kept = {name: value for name, value in found.items() if name not in NOT_KEPT and value not in ([], {})}
    if len(str(kept)) > 64_000:
        raise refused("tooMany", "A resource is larger than 64 kB.")
    return kept


def _name_in(kept: Mapping[str, Any]) -> str:
    parts = kept.get("name") or {}
    joined = " ".join(filter(None, (parts.get("givenName"), parts.get("familyName"))))
    return str(kept.get("displayName") or parts.get("formatted") or joined or kept.get("userName") or "")


def _same(one: Any, other: str) -> bool:
    return str(one or "").casefold() == other.casefold()


def _meta(kind: str, location: str, created_at: float | None, updated_at: float | None) -> dict[str, Any]:
    created = None if created_at is None else datetime.fromtimestamp(created_at, UTC)
    changed = created if updated_at is None else datetime.fromtimestamp(updated_at, UTC)
    return {"resourceType": kind, "location": location, "created": created, "lastModified": changed}


def _loaded(shape: Any, kept: Mapping[str, Any]) -> Any:
    from engine.scim.models import POLICY

    return shape.model_validate({"schemas": [str(shape.__schema__)], **kept}, scim_policy=POLICY)


def _context(name: str) -> Any:
    from scim2_models import Context

    return Context[name]
