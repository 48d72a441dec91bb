"""What SCIM shows of users and roles. It imports scim2_models, so it is itself imported only once SCIM is spoken."""

from typing import Annotated, Any

from pydantic import Field
from scim2_models import (
    URN,
    Address,
    CaseExact,
    ComplexAttribute,
    Email,
    GroupMembership,
    Mutability,
    Name,
    PhoneNumber,
    Reference,
    Required,
    Resource,
    ScimPolicy,
    Uniqueness,
)

POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,  # directories send more than anybody keeps
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)


class User(Resource[Any]):
    """User Account."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    """The name that the directory knows the user by."""

    name: Name | None = None
    """The parts of the user's name."""

    display_name: str | None = None
    """The name that people read."""

    nick_name: str | None = None
    """How the user is called."""

    title: str | None = None
    """The user's title."""

    user_type: str | None = None
    """The user's relation to the organisation."""

    preferred_language: str | None = None
    """The user's language."""

    locale: str | None = None
    """The user's locale."""

    timezone: str | None = None
    """The user's time zone."""

    active: bool | None = None
    """Whether the user may sign in."""

    emails: list[Email] | None = None
    """E-mail addresses; the primary one is the user's."""

    phone_numbers: list[PhoneNumber] | None = None
    """Phone numbers."""

    addresses: list[Address] | None = None
    """Addresses."""

    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None
    """The roles that the user has."""


class Member(ComplexAttribute):
    """Somebody who has a role."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    """Id of the user."""

    ref: Annotated[Reference[User] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """Where the user is."""

    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])
    """Always `User`."""


class Group(Resource[Any]):
    """Group: a role, and who has it."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true] = None
    """Name of the role."""

    members: list[Member] | None = None
    """Who has the role."""
