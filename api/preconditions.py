"""Versions as HTTP says them (RFC 9110): `ETag` on what has one, `If-Match` on what changes it."""

import re
from functools import cache

from pydantic import BaseModel

from core.errors import Conflict, InvalidArgument
from core.portable import plain_type
from core.tool import Tool

EXPECTED = "expected_version"
VERSION = "version"
TAG = r'^([*]|(W/)?"[!#-~]{0,64}"|[0-9]{1,18})$'  # the quotes of a number may be missing
_TAG = re.compile(TAG)
_STRONG = re.compile(r'"?([0-9]{1,18})"?')


@cache
def expected_field(tool: Tool) -> str:
    """The field of the request that takes the version which the caller has read, or nothing."""
    fields = tool.request.model_fields
    if tool.effect == "read":
        return ""
    if EXPECTED in fields:
        return EXPECTED
    return VERSION if VERSION in fields and _is_int(fields[VERSION].annotation) else ""


@cache
def has_tag(tool: Tool) -> bool:
    """Whether the tool answers with one object and its version."""
    field = tool.result.model_fields.get(VERSION)
    return field is not None and _is_int(field.annotation) and tool.status != 204


def tag_of(tool: Tool, result: BaseModel) -> list[tuple[bytes, bytes]]:
    """The header that names the version of what is answered."""
    if not has_tag(tool) or not isinstance(result, tool.result):
        return []
    return [(b"etag", f'"{getattr(result, VERSION)}"'.encode())]


def expected_of(tool: Tool, if_match: str | None) -> dict[str, str]:
    """The version that `If-Match` names, as an argument of the tool.

    Raises InvalidArgument where the header names none, Conflict where what it names can not be."""
    field = expected_field(tool)
    if if_match is None or (not field and tool.effect == "read"):
        return {}
    if not _TAG.fullmatch(if_match.strip()):
        raise InvalidArgument("If-Match does not name one version.", hint="Send the ETag that you read.")
    if not field:
        raise Conflict(f"{tool.name} cannot depend on a version.", hint="Leave If-Match out.")
    if if_match.strip() == "*":
        return {}
    found = _STRONG.fullmatch(if_match.strip())
    if found is None or int(found[1]) < 1:
        raise Conflict("It is not at that version.", hint="Read it again, and send the ETag of that answer.")
    return {field: found[1]}


def _is_int(annotation: object) -> bool:
    return plain_type(annotation) == (int, False)
