"""What SCIM calls a refusal (RFC 7644, 3.12), as one of our errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import Conflict, InvalidArgument, NotFound, PlatformError


class ScimRefused(InvalidArgument):
    """The request is not one that SCIM allows."""

    scim_type = ""


class ScimConflict(Conflict):
    """The request clashes with what is there."""

    scim_type = ""


def refused(scim_type: str, message: str) -> PlatformError:
    """An error that carries SCIM's own word for it."""
    error = ScimRefused(message)
    error.scim_type = scim_type
    return error


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the models of SCIM refuse into our errors."""
    from pydantic import ValidationError
    from scim2_models import Error, SCIMException

    try:
        yield
    except ValidationError as error:
        first = Error.from_validation_error(error.errors(include_url=False, include_input=False)[0])
        raise refused(first.scim_type or "invalidValue", str(first.detail or "")[:500]) from None
    except SCIMException as error:
        raise _as_ours(error.status, error.scim_type, str(error)[:500]) from None


def _as_ours(status: int, scim_type: str, message: str) -> PlatformError:
    if status == 404:
        return NotFound(message)
    if status in (409, 412):
        conflict = ScimConflict(message)
        conflict.scim_type = scim_type
        return conflict
    return refused(scim_type, message)
