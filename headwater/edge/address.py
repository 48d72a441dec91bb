"""A data plane that stands elsewhere: its address, and the folder of credentials that both sides hold."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument, Unavailable
from core.settings import EdgeSettings, Settings
from headwater.edge import wire
from headwater.edge.client import Link

if TYPE_CHECKING:
    import grpc.aio

KEEPALIVE: list[tuple[str, Any]] = [("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_timeout_ms", 5_000)]
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")


def total_memory_mb(settings: Settings) -> int:
    """What all engines of one data plane may use: half of the machine unless the settings say."""
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**21
    return settings.edge.memory_mb or max(half, 2 * settings.query.memory_mb)


class Credentials:
    """A folder with `token`, and for mutual TLS `ca.pem`, `cert.pem` and `key.pem`. Raises InvalidArgument."""

    def __init__(self, folder: Path | None):
        if folder is None:
            raise InvalidArgument("No edge.credentials are set.", hint="Name the folder that holds `token`.")
        self.token = _read(folder, "token").decode().strip()
        self.tls: Mapping[str, bytes] | None = None
        if (folder / "cert.pem").exists():
            self.tls = {name: _read(folder, name) for name in TLS_FILES}
        if len(self.token) < 20:
            raise InvalidArgument("The token of the data plane is too short.", hint="`headwater edge` makes one.")


class FarLink:
    """The channel to a configured data plane, opened by its first user."""

    def __init__(self, settings: EdgeSettings):
        self._settings = settings
        self._opened: Link | None = None

    async def link(self) -> Link:
        """Raises Unavailable when the credentials cannot be read."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.channel.close(None)

    def _open(self) -> Link:
        import grpc

        try:
            credentials = Credentials(self._settings.credentials)
            check_address(self._settings.url, has_tls=credentials.tls is not None)
        except InvalidArgument as error:
            raise Unavailable(f"The data plane cannot be used. {error.message}", hint=error.hint) from error
        options = [*wire.UNLIMITED, *KEEPALIVE]
        if credentials.tls is None:
            channel = grpc.aio.insecure_channel(self._settings.url, options)
        else:
            ca, cert, key = (credentials.tls[name] for name in TLS_FILES)
            channel = grpc.aio.secure_channel(self._settings.url, grpc.ssl_channel_credentials(ca, key, cert), options)
        return Link(channel, credentials.token)


def check_address(url: str, *, has_tls: bool) -> None:
    """Refuse to send passwords and rows in plain text over a network. Raises InvalidArgument."""
    host = url.rpartition(":")[0].strip("[]")
    if url.startswith("unix:") or has_tls or host in ("localhost", "127.0.0.1", "::1"):
        return
    raise InvalidArgument(
        f"The data plane at {url} would be reached in plain text.",
        hint="Put ca.pem, cert.pem and key.pem into edge.credentials, on both sides.",
    )


def bind(server: "grpc.aio.Server", address: str, credentials: Credentials) -> int:
    """Listen; with TLS only for clients whose certificate the same authority signed."""
    import grpc

    check_address(address, has_tls=credentials.tls is not None)
    if credentials.tls is None:
        return server.add_insecure_port(address)
    ca, cert, key = (credentials.tls[name] for name in TLS_FILES)
    return server.add_secure_port(address, grpc.ssl_server_credentials([(key, cert)], ca, require_client_auth=True))


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError:
        raise InvalidArgument(
            f"{folder / name} cannot be read.", hint="edge.credentials names a folder with `token`, and TLS files."
        ) from None
