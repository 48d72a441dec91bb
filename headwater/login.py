"""`headwater login`: a person signs in with a browser, perhaps on another machine; the tokens stay on this one."""

import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from core.errors import InvalidArgument, Unauthenticated, Unavailable
from core.settings import EgressSettings
from engine.egress.client import EgressClient

CLIENT_ID = "headwater-cli"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
EARLY_S = 60.0  # so long before its end an access token is renewed
FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


def logins_file() -> Path:
    """Where the tokens of this person are: `XDG_CONFIG_HOME/headwater/logins.json`."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "headwater" / "logins.json"


def read_logins(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def keep_login(path: Path, server: str, tokens: dict[str, Any] | None) -> None:
    """Write one server's tokens, or forget them. Only the owner of the file can read it, at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    logins = {name: kept for name, kept in read_logins(path).items() if name != server}
    if tokens is not None:
        logins[server] = tokens
    descriptor, draft = tempfile.mkstemp(dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(logins, file, indent=1)
    Path(draft).replace(path)


async def sign_in(server: str, say: Callable[[str], None], *, file: Path) -> None:
    """Show a code, wait until somebody has typed it in, and keep the tokens. Raises PlatformError."""
    server = _checked(server)
    started = await _post(server, "/oauth/device", {"client_id": CLIENT_ID, "resource": server})
    say(f"Open {started['verification_uri_complete']}\nand check that it shows {started['user_code']}.")
    interval_s, until = float(started["interval"]), time.monotonic() + float(started["expires_in"])
    form = {"grant_type": DEVICE_GRANT, "device_code": started["device_code"], "client_id": CLIENT_ID}
    while time.monotonic() < until:
        await asyncio.sleep(interval_s)
        try:
            keep_login(file, server, _kept(await _post(server, "/oauth/token", form)))
            return
        except OAuthSaid as said:
            if said.name == "slow_down":
                interval_s += 2
            elif said.name != "authorization_pending":
                raise
    raise Unauthenticated("Nobody signed in in time.", hint="Run `headwater login` again.")


async def sign_out(server: str, *, file: Path) -> bool:
    """End the sign-in there and forget its tokens here. False: there was none."""
    server = _checked(server)
    kept = read_logins(file).get(server)
    if not isinstance(kept, dict):
        return False
    try:
        await _post(server, "/oauth/revoke", {"client_id": CLIENT_ID, "token": str(kept.get("refresh_token", ""))})
    finally:
        keep_login(file, server, None)
    return True


async def stored_token(server: str, *, file: Path) -> str:
    """The token kept for a server, renewed where it ends soon; empty without a sign-in. Raises PlatformError."""
    server = server.rstrip("/")
    kept = _login(file, server)
    if kept is None or float(kept.get("until", 0)) - EARLY_S > time.time():
        return str(kept.get("access_token", "")) if kept else ""
    with _alone(file):  # two commands that renewed at once would end the sign-in
        kept = _login(file, server) or {}
        if float(kept.get("until", 0)) - EARLY_S > time.time():
            return str(kept.get("access_token", ""))
        token = str(kept.get("refresh_token", ""))
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": CLIENT_ID}
        try:
            renewed = _kept(await _post(server, "/oauth/token", form))
        except OAuthSaid as said:
            if said.name != "invalid_grant":
                raise
            keep_login(file, server, None)
            hint = f"Run `headwater login --server {server}`."
            raise Unauthenticated("The sign-in has ended.", hint=hint) from None
        keep_login(file, server, renewed)
    return str(renewed["access_token"])


def _login(file: Path, server: str) -> dict[str, Any] | None:
    kept = read_logins(file).get(server)
    return kept if isinstance(kept, dict) else None


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One process at a time."""
    import fcntl  # lazily: not every system has it, and most commands need no lock

    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class OAuthSaid(Unauthenticated):
    """The server refused; `name` is OAuth's code."""

    name = ""


def _kept(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "access_token": str(answer["access_token"]),
        "refresh_token": str(answer["refresh_token"]),
        "until": time.time() + float(answer["expires_in"]),
    }


def _checked(server: str) -> str:
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InvalidArgument("--server is a URL.", hint="For example --server https://data.example.com.")
    return server.rstrip("/")


async def _post(server: str, path: str, form: dict[str, str]) -> dict[str, Any]:
    client = EgressClient(EgressSettings(allowed_private_hosts=[urlsplit(server).netloc]))
    try:
        answer = await client.post(server + path, body=urlencode(form).encode(), headers=FORM)
        said = json.loads(answer.body) if answer.body else {}
    except (InvalidArgument, Unavailable) as error:
        raise Unavailable(f"{server} cannot be called: {error.message}", hint="Check --server.") from error
    except ValueError:
        raise Unavailable(f"{server} is no Headwater server.", hint="Check --server.") from None
    finally:
        await client.aclose()
    if answer.status >= 400:
        refused = OAuthSaid(str(said.get("error_description", "The server refused.")))
        refused.name = str(said.get("error", ""))
        raise refused
    return dict(said)
