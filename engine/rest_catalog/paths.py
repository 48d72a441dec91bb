"""Where the files of a table may lie: below the table's own location, whatever a client says."""

import os
import re
from urllib.parse import unquote

from core.errors import InvalidArgument

MAX_PATH = 4096
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
# A query or fragment is cut off by one reader and kept by another, and wildcards are taken for patterns.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\?#*\[\]{}]")


def check_below(location: str, path: str, what: str) -> None:
    """Raises InvalidArgument unless `path` lies below the table's location."""
    if not is_below(location, path):
        raise InvalidArgument(
            f"The {what} {path[:200]!r} does not lie below the table's location.",
            hint="Write all files of a table below the location that the catalog gave it.",
        )


def is_below(location: str, path: str) -> bool:
    """Whether a path certainly means a file below a location, also when it is decoded once or is a link."""
    scheme, base = _split(location)
    own_scheme, rest = _split(path)
    base = base.rstrip("/")
    if own_scheme != scheme or len(path) > MAX_PATH or not base or not rest.startswith(f"{base}/"):
        return False
    inside = rest[len(base) + 1 :]
    for text in (inside, unquote(inside)):
        segments = text.split("/")
        if _UNSAFE.search(inside) or "\x00" in text or any(part in ("", ".", "..") for part in segments):
            return False
    if scheme:
        return True
    return os.path.realpath(rest).startswith(f"{os.path.realpath(base)}/")


def _split(location: str) -> tuple[str, str]:
    """Scheme, empty for local files, and the rest: `file:/x`, `file:///x` and `/x` are one place."""
    found = _SCHEME.fullmatch(location)
    if found is None:
        return "", location
    scheme, rest = found[1].lower(), found[2]
    if scheme != "file":
        return scheme, rest
    return "", rest[2:] if rest.startswith("///") else rest
