"""Where connections may point: files under the operator's roots, hosts outside private networks."""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from core.errors import Conflict, NotFound, Unauthorized


class Places:
    """What the operator allows. The home and the folders of lakehouses are never readable through a connection."""

    def __init__(
        self,
        *,
        home: Path,
        roots: Sequence[Path],
        private_hosts: Sequence[str] = (),
        lakehouses: Callable[[], Iterable[Path]] = tuple,
    ):
        self._home = real_path(home)
        self._roots = [real_path(root) for root in roots]
        self._private_hosts = frozenset(private_hosts)
        self._lakehouses = lakehouses

    def check_path(self, text: str) -> Path:
        """The real path behind `text`, symbolic links resolved. Raises Conflict, Unauthorized, NotFound."""
        if "\0" in text or not text.startswith("/"):
            raise Conflict("The path is not an absolute local path.", hint="Write it from the root on: /data/shop.")
        path = real_path(text)
        is_under_root = any(path.is_relative_to(root) for root in self._roots)
        # Other tenants' tables lie there, and one's own behind policies.
        if not is_under_root or any(touches(path, denied) for denied in (self._home, *self._lakehouses())):
            raise Unauthorized(
                "The path is outside the folders that connections may read.",
                hint="The operator lists them in HEADWATER_QUERY__ALLOWED_ROOTS.",
            )
        if not os.access(path, os.F_OK):  # unlike Path.exists it never raises
            raise NotFound("There is no such file or folder.", hint="Check the path; it is read on the server.")
        return path

    def check_host(self, host: str, port: int) -> str:
        """The address to connect to, resolved once so that it cannot change afterwards. Raises as `check_path`."""
        is_listed = host in self._private_hosts or f"{host}:{port}" in self._private_hosts
        if host.startswith("/"):
            if is_listed:
                return host
            raise _private(host)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # UnicodeError: no host can have such a name
            raise NotFound(f"The host {host!r} does not resolve.", hint="Check `host`.") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not is_listed and not all(ipaddress.ip_address(address).is_global for address in addresses):
            raise _private(host)
        return addresses[0]


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a file found below an allowed folder really lies there, and not behind a link out of it."""
    return real_path(path).is_relative_to(folder)


def real_path(path: Path | str) -> Path:
    """The path with symbolic links resolved, as far as it exists; unlike Path.resolve it never raises."""
    return Path(os.path.realpath(path))


def touches(one: Path, other: Path) -> bool:
    """Whether one of the paths is, or lies in, the other."""
    return one.is_relative_to(other) or other.is_relative_to(one)


def _private(host: str) -> Unauthorized:
    return Unauthorized(
        f"The host {host!r} is in a private network.",
        hint="The operator lists such hosts in HEADWATER_EGRESS__ALLOWED_PRIVATE_HOSTS.",
    )
