"""Which addresses may be called: URLs taken apart strictly, and every resolved IP address checked."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from core.errors import Unavailable

IPAddress = IPv4Address | IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_URL_CHARS = 4096
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_TARGET = re.compile(r"[!-~]*")  # printable ASCII without the space

_FORBIDDEN_V4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
_GLOBAL_V6 = IPv6Network("2000::/3")
_FORBIDDEN_V6 = [IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20")]
_PRIVATE = [
    ip_network(text)
    for text in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
]
_METADATA_V6 = IPv6Address("fd00:ec2::254")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_ISATAP_MARKS = (0x00005EFE, 0x02005EFE)


class Refused(Exception):
    """This address may not be called; the text is the cause, for the log alone."""


class NotSent(Unavailable):
    """Nothing of the request has left: it can be sent again, whatever it does."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in parts. It is sent from these parts, so that no second parser can read it otherwise."""

    scheme: str
    host: str
    port: int
    path: str  # with the query

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_target(url: str) -> Target:
    """Take a URL apart. Raises Refused on anything but plain http or https to a sane host and port."""
    if len(url) > MAX_URL_CHARS or not _TARGET.fullmatch(url) or "\\" in url:
        raise Refused("the URL is too long or holds characters that need escaping")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(f"the URL does not parse: {error}") from None
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise Refused("only http and https are called")
    if "@" in parts.netloc:
        raise Refused("the URL holds user information")
    port = DEFAULT_PORTS[scheme] if port is None else port
    if port == 0 or parts.netloc.endswith(":"):
        raise Refused("the port is not usable")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme, parse_host(parts.hostname or ""), port, path)


def parse_host(text: str) -> str:
    """A host in its one accepted spelling: a DNS name, dotted IPv4, or IPv6 without brackets."""
    host = text.lower().removesuffix(".")
    if ":" in host and "%" not in host:
        return str(_literal(host))
    if not _HOST.fullmatch(host):
        raise Refused("the host is not a plain name")
    if _is_numeric(host.rpartition(".")[2]):  # 127.1, 2130706433, 0x7f.1 and 0177.0.0.1 end here
        return str(_literal(host))
    return host


def is_public(address: IPAddress) -> bool:
    """Whether an address is of the public internet, in whatever form it wraps another one."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _FORBIDDEN_V4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if address in _SIX_TO_FOUR:
        return is_public(IPv4Address(int(address) >> 80 & 0xFFFFFFFF))
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP_MARKS and not is_public(IPv4Address(int(address) & 0xFFFFFFFF)):
        return False
    return address in _GLOBAL_V6 and not any(address in network for network in _FORBIDDEN_V6)


class AddressRules:
    """Decides by name, port and resolved address; `allowed` names private `host` or `host:port` to let through."""

    def __init__(self, allowed: Iterable[str] = ()):
        self._allowed = frozenset(entry.strip().lower() for entry in allowed)

    def allows_private(self, host: str, port: int) -> bool:
        names = (host, f"[{host}]") if ":" in host else (host,)
        return any(name in self._allowed or f"{name}:{port}" in self._allowed for name in names)

    def check_target(self, target: Target) -> None:
        """Raises Refused when the URL alone says that it may not be called."""
        if self.allows_private(target.host, target.port):
            return
        if target.scheme != "https":
            raise Refused("only https is called outside the allowed private hosts")
        if target.port < 1024 and target.port != 443:
            raise Refused("the port belongs to another protocol")

    def check_addresses(self, host: str, port: int, addresses: list[str]) -> list[IPAddress]:
        """The addresses of a host as parsed; one forbidden among them refuses all. Raises Refused."""
        found = [_literal(text) for text in addresses]
        if not found:
            raise Refused("the host has no address")
        is_allowed = self.allows_private(host, port)
        for address in found:
            if str(address) == host and is_allowed:
                continue
            if not (is_public(address) or (is_allowed and _is_private_unicast(address))):
                raise Refused(f"{host} resolves to a forbidden address")
        return found


def _is_private_unicast(address: IPAddress) -> bool:
    """What an allowed name may point at: private or loopback, never metadata services or multicast."""
    plain = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    return plain != _METADATA_V6 and any(plain in network for network in _PRIVATE)


def _literal(text: str) -> IPAddress:
    try:
        return ip_address(text)
    except ValueError:
        raise Refused("the address is not in its plain spelling") from None


def _is_numeric(label: str) -> bool:
    return bool(re.fullmatch(r"[0-9]+|0x[0-9a-f]*", label))
