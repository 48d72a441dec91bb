"""Pages: `page_size`/`page_token` with signed tokens, or `skip`/`limit`; never both in one call."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import Field

from core.context import Principal
from core.errors import InvalidArgument, NotFound
from core.portable import Model

DEFAULT_SIZE = 100
TOKEN_LIFETIME_S = 24 * 3600


class Paged(Model):
    """The paging fields that every listing takes."""

    page_size: int | None = Field(None, ge=1, le=1000, description="Items on a page; 100 unless told.")
    page_token: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_-]{32,128}$", description="`next_page_token` of the page before."
    )
    skip: int | None = Field(None, ge=0, description="Items to leave out; use with `limit`, not with a token.")
    limit: int | None = Field(None, ge=1, le=1000, description="Items to return; use with `skip`.")


class Listing(Model):
    """The paging fields that every listing answers with."""

    next_page_token: str | None = Field(None, description="Give it as `page_token` for the next page.")
    total_count: int = Field(description="Items in all that the caller may see.")


@dataclass(frozen=True, slots=True)
class Window:
    """Which slice of a listing to read."""

    offset: int
    size: int


class PageSigner:
    """Makes and checks page tokens: bound to principal, tool and arguments, signed, expiring."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time):
        self._key = key
        self._clock = clock

    def window(self, tool: str, request: Paged, by: Principal) -> Window:
        """The slice that a request asks for. Raises InvalidArgument on mixed styles, NotFound on a bad token."""
        by_skip = request.skip is not None or request.limit is not None
        if by_skip and (request.page_size is not None or request.page_token is not None):
            raise InvalidArgument(
                "Two paging styles in one call.", hint="Use page_size with page_token, or skip with limit."
            )
        if by_skip:
            return Window(request.skip or 0, request.limit or DEFAULT_SIZE)
        size = request.page_size or DEFAULT_SIZE
        if not request.page_token:
            return Window(0, size)
        return Window(self._open(request.page_token, self._scope(tool, request, by)), size)

    def next_token(self, tool: str, request: Paged, by: Principal, window: Window, total: int) -> str | None:
        """The token of the page after `window`, or None at the end."""
        end = window.offset + window.size
        if end >= total:
            return None
        return self._seal(end, self._scope(tool, request, by))

    def _scope(self, tool: str, request: Paged, by: Principal) -> str:
        rest = request.model_dump_json(exclude={"page_size", "page_token", "skip", "limit"})
        return json.dumps([tool, by.tenant, by.subject, rest])

    def _seal(self, offset: int, scope: str) -> str:
        body = json.dumps([offset, int(self._clock()) + TOKEN_LIFETIME_S]).encode()
        return base64.urlsafe_b64encode(self._mac(body, scope) + body).decode().rstrip("=")

    def _open(self, token: str, scope: str) -> int:
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:  # a length that no encoder makes
            raise NotFound("There is no such page.", hint=_RESTART) from None
        mac, body = raw[:16], raw[16:]
        if not hmac.compare_digest(mac, self._mac(body, scope)):
            raise NotFound("There is no such page.", hint=_RESTART)
        offset, expires_at = json.loads(body)
        if self._clock() > expires_at:
            raise NotFound("The page has expired.", hint=_RESTART)
        return int(offset)

    def _mac(self, body: bytes, scope: str) -> bytes:
        return hmac.digest(self._key, scope.encode() + b"\0" + body, hashlib.sha256)[:16]


_RESTART = "Start again without page_token; tokens hold for one caller, tool and set of arguments."
