"""Where people are sent back to: which addresses an application may have, and when one is the one it named."""

import re
from urllib.parse import SplitResult, urlsplit

from engine.identity.oauth.refusals import InvalidRedirect

MAX_CHARS = 1024
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PLAIN = re.compile(r"[!#-;=?-\[\]_a-z~]+")  # no quotes, spaces, angles, backslashes, controls
# A host as it may stand in a header that says where a form may lead: nothing that would end a source there.
_PLACE = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,63}")
# Schemes that run or read something in the browser itself, or lead to anybody's program.
REFUSED_SCHEMES = frozenset(
    (
        "javascript",
        "data",
        "vbscript",
        "file",
        "blob",
        "about",
        "filesystem",
        "view-source",
        "ws",
        "wss",
        "ftp",
        "ftps",
        "mailto",
        "tel",
        "sms",
        "intent",
        "content",
        "jar",
        "chrome",
        "resource",
        "ldap",
        "gopher",
        "cid",
        "mid",
        "urn",
    )
)


def check_redirect(uri: object) -> str:
    """The address, if an application may have it. Raises InvalidRedirect.

    https anywhere; http on this machine alone (RFC 8252); an application's own scheme."""
    if not isinstance(uri, str) or len(uri) > MAX_CHARS or not _PLAIN.fullmatch(uri) or "#" in uri:
        raise InvalidRedirect("A redirect URI is a plain URL without a fragment.")
    parts = _split(uri)
    if parts is None or "@" in parts.netloc or "*" in parts.netloc:
        raise InvalidRedirect("A redirect URI names one host, and no user.")
    is_web = parts.scheme in ("http", "https")
    if is_web and not _PLACE.fullmatch(parts.netloc):
        raise InvalidRedirect("A redirect URI names a host, and a port at most.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise InvalidRedirect("A redirect URI over http is one of this machine.", hint="Use https.")
    own = _SCHEME.fullmatch(parts.scheme) and parts.scheme not in REFUSED_SCHEMES and f"{parts.scheme}:/" in uri
    if not is_web and not own:
        raise InvalidRedirect("No one is sent to addresses of that scheme.")
    return uri


def is_same(sent: str, registered: str) -> bool:
    """Whether an address is the registered one, letter by letter; on this machine the port is free."""
    if sent == registered:
        return True
    ours, theirs = _split(registered), _split(sent)
    if ours is None or theirs is None or ours.scheme != "http" or ours.hostname not in LOOPBACK:
        return False
    same = (ours.scheme, ours.hostname, ours.path, ours.query) == (
        theirs.scheme,
        theirs.hostname,
        theirs.path,
        theirs.query,
    )
    # What is left of the texts without the ports must be equal too: no user, no fragment, no other spelling.
    return same and _without_port(sent, theirs) == _without_port(registered, ours)


def form_target(uri: str) -> str:
    """The source that a page's `form-action` must name, so that a browser goes on to that address."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or (parts.hostname and ":" in parts.hostname):
        return f"{parts.scheme}:"
    return f"{parts.scheme}://{parts.netloc}"


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts


def _without_port(uri: str, parts: SplitResult) -> str:
    return uri if parts.port is None else uri.replace(f":{parts.port}", "", 1)
