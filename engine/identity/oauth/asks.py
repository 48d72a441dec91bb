"""What an application asks of a person: checked once, the same before the page and after the answer."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from engine.identity.claims import API, RESOURCE
from engine.identity.oauth.apps import App, Apps
from engine.identity.oauth.refusals import InvalidRedirect, InvalidScope, InvalidTarget, OAuthRefused
from engine.identity.roles import PERMISSIONS

NEUTRAL = "offline_access"  # every sign-in can be renewed
MAX_STATE = 4096
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Ask:
    """A checked request. `scopes` None: everything that the person may do."""

    app: App
    redirect_uri: str
    state: str
    challenge: str
    scopes: frozenset[str] | None
    resource: str

    @property
    def consent_id(self) -> str:
        """Changes with all that a person agrees to."""
        said = [self.app.client_id, self.app.name, self.redirect_uri, scope_text(self.scopes), self.resource]
        return sha256(json.dumps(said).encode()).hexdigest()


async def read_ask(apps: Apps, said: Mapping[str, str], base: str) -> Ask:
    """A request for a code. Raises InvalidClient, InvalidRedirect, OAuthRefused."""
    app = await apps.look_up(said.get("client_id", ""))
    redirect_uri = said.get("redirect_uri", "")
    if not app.owns(redirect_uri):
        raise InvalidRedirect("The redirect_uri is none that the application registered.")
    if said.get("response_type") != "code":
        raise OAuthRefused("The only response_type is code.")
    if said.get("response_mode", "query") != "query" or "request" in said or "request_uri" in said:
        raise OAuthRefused("Answers come in the query, and requests are not sent as objects.")
    challenge = said.get("code_challenge", "")
    if said.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise OAuthRefused("PKCE is needed: code_challenge, with code_challenge_method S256.")
    state = said.get("state", "")
    if len(state) > MAX_STATE:
        raise OAuthRefused(f"state is longer than {MAX_STATE} characters.")
    scopes, resource = read_scopes(said.get("scope", "")), said.get("resource", "") or f"{base}/mcp"
    resource_of(resource, base)
    return Ask(app, redirect_uri, state, challenge, scopes, resource)


def read_scopes(text: str) -> frozenset[str] | None:
    """Permissions by name; none at all stand for everything that the person may do. Raises InvalidScope."""
    named = frozenset(text.split()) - {NEUTRAL}
    strange = sorted(named - PERMISSIONS)
    if strange:
        raise InvalidScope(f"No scope {strange[0][:64]!r}.", hint="Scopes are permissions, for example catalog.read.")
    return named or None


def scope_text(scopes: frozenset[str] | None) -> str:
    return " ".join(sorted(scopes or ()))


def resource_of(resource: str, base: str) -> str:
    """Which part of this server a resource is (RFC 8707). Raises InvalidTarget."""
    if resource.startswith(base) and "#" not in resource and "?" not in resource:
        path = resource[len(base) :].rstrip("/")
        if not path:
            return API
        named = path.removeprefix("/")
        if path != named and named != API and RESOURCE.fullmatch(named):
            return named
    hint = f"Ask for {base}/mcp, or for {base} to use the API."
    raise InvalidTarget("The resource is none of this server's.", hint=hint)


def host_of(uri: str) -> str:
    """What a person should look at before being sent there."""
    parts = urlsplit(uri)
    if parts.scheme == "http":
        return f"{parts.netloc} (a program on your own machine)"
    return parts.netloc if parts.scheme == "https" else f"{parts.scheme}: (an app of this device)"
