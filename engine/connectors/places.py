"""Where connections may point: files under the operator's roots, hosts outside private networks."""

import ipaddress
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from core.errors import InvalidArgument, Unavailable


class Places:
    """What the operator allows. The platform's own home is never readable through a connection."""

    def __init__(self, *, home: Path, roots: Sequence[Path], private_hosts: Sequence[str] = ()):
        self._home = Path(os.path.realpath(home))
        self._roots = [Path(os.path.realpath(root)) for root in roots]
        self._private_hosts = frozenset(private_hosts)

    def check_path(self, text: str) -> Path:
        """The real path behind `text`, symbolic links resolved. Raises InvalidArgument unless it is allowed."""
        if "\0" in text or "://" in text:
            raise InvalidArgument("The path is not a local path.", hint="Give the absolute path of a file or folder.")
        path = Path(os.path.realpath(Path(text).expanduser()))
        is_under_root = any(path.is_relative_to(root) for root in self._roots)
        touches_home = path.is_relative_to(self._home) or self._home.is_relative_to(path)
        if not is_under_root or touches_home:
            raise InvalidArgument(
                "The path is outside the folders that connections may read.",
                hint="The operator lists them in HEADWATER_QUERY__ALLOWED_ROOTS.",
            )
        if not path.exists():
            raise InvalidArgument("There is no such file or folder.", hint="Check the path; it is read on the server.")
        return path

    def check_host(self, host: str, port: int) -> str:
        """The address to connect to, resolved once so that it cannot change afterwards."""
        is_listed = host in self._private_hosts or f"{host}:{port}" in self._private_hosts
        if host.startswith("/"):
            if is_listed:
                return host
            raise _private(host)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Unavailable(f"The host {host!r} does not resolve.", hint="Check `host`.") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not is_listed and not all(ipaddress.ip_address(address).is_global for address in addresses):
            raise _private(host)
        return addresses[0]


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a file found below an allowed folder really lies there, and not behind a link out of it."""
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _private(host: str) -> InvalidArgument:
    return InvalidArgument(
        f"The host {host!r} is in a private network.",
        hint="The operator lists such hosts in HEADWATER_EGRESS__ALLOWED_PRIVATE_HOSTS.",
    )
