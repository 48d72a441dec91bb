"""Where connections may point: files under the operator's roots, hosts outside private networks."""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from core.errors import Conflict, NotFound, Unauthorized
from engine.egress.addresses import AddressRules, Refused, parse_host, parse_target


class Places:
    """What the operator allows. The home and the folders of lakehouses are never readable through a connection."""

    def __init__(
        self,
        *,
        home: Path,
        roots: Sequence[Path],
        private_hosts: Sequence[str] = (),
        lakehouses: Callable[[], Iterable[Path]] = tuple,
        writable: Sequence[Path] = (),
    ):
        self._home = real_path(home)
        self._roots = [real_path(root) for root in roots]
        self._private_hosts = frozenset(private_hosts)
        self._rules = AddressRules(private_hosts)
        self._lakehouses = lakehouses
        self._writable = [real_path(root) for root in writable]

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

    def check_writable(self, text: str) -> Path:
        """As `check_path`, for a file whose records are to be written."""
        path = self.check_path(text)
        if not any(path.is_relative_to(root) for root in self._writable):
            raise Unauthorized(
                "The path is outside the folders that connections may write.",
                hint="The operator lists them in HEADWATER_QUERY__WRITABLE_ROOTS.",
            )
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

    def check_url(self, url: str) -> str:
        """The address behind an http or https URL, resolved now; plain http only of private hosts that are allowed.

        Raises Unauthorized, with one text for every cause."""
        try:
            target = parse_target(url)
            self._rules.check_target(target)
        except Refused:
            raise _not_called() from None
        return self.check_address(target.host, target.port)

    def check_address(self, host: str, port: int) -> str:
        """The address of a host, resolved now. Raises as `check_url`."""
        try:
            plain = parse_host(host.strip("[]"))
            found = socket.getaddrinfo(plain, port, type=socket.SOCK_STREAM)
            return str(self._rules.check_addresses(plain, port, [str(entry[4][0]) for entry in found])[0])
        except (Refused, OSError, UnicodeError):
            raise _not_called() from None


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


def _not_called() -> Unauthorized:
    return Unauthorized(
        "This address may not be called.",
        hint="Use https and a public host that resolves; the operator lists private ones in "
        "HEADWATER_EGRESS__ALLOWED_PRIVATE_HOSTS.",
    )
