"""The cards of our own agents, as JSON, for clients of 1.0 and 0.3; nothing of the SDK is needed to show one."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from engine.agents.registry import HEADWATER
from gateway.cards import SCHEME
from gateway.serving.roster import Profile, Skill

JSONRPC, REST, GRPC = "JSONRPC", "HTTP+JSON", "GRPC"
INPUT_MODES = ["text/plain", "application/json"]
OUTPUT_MODES = ["text/plain", "application/json", "application/sql"]


@dataclass(frozen=True, slots=True)
class Places:
    """Where agents are reached: HTTP below `base_url`, gRPC on its own port of the same host; 0: not at all."""

    base_url: str
    grpc_port: int

    def address(self, agent_id: str) -> str:
        return f"{self.base_url}/a2a/{agent_id}"

    @property
    def grpc(self) -> str:
        """Host and port, or nothing."""
        host = urlsplit(self.base_url).hostname or ""
        shown = f"[{host}]" if ":" in host else host
        return f"{shown}:{self.grpc_port}" if host and self.grpc_port else ""


def own_card(profile: Profile, places: Places, version: str) -> dict[str, Any]:
    """The card of one of our agents."""
    address = places.address(profile.agent_id)
    bearer = {"httpAuthSecurityScheme": {"scheme": "bearer", "description": "A token of Headwater."}}
    card: dict[str, Any] = {
        "name": profile.name,
        "description": profile.description,
        "version": version,
        "provider": {"organization": "Headwater", "url": places.base_url},
        "supportedInterfaces": _interfaces(profile.agent_id, address, places),
        "capabilities": {"streaming": True, "pushNotifications": True, "extendedAgentCard": True},
        "securitySchemes": {SCHEME: {**bearer, "type": "http", "scheme": "bearer"}},
        "securityRequirements": [{"schemes": {SCHEME: {"list": []}}}],
        "defaultInputModes": INPUT_MODES,
        "defaultOutputModes": OUTPUT_MODES,
        "skills": [_skill(each) for each in profile.skills],
    }
    old = [{"url": f"{address}/", "transport": JSONRPC}, {"url": address, "transport": REST}]
    return card | {
        "protocolVersion": "0.3.0",
        "url": f"{address}/",
        "preferredTransport": JSONRPC,
        "additionalInterfaces": old,
        "supportsAuthenticatedExtendedCard": True,
        "security": [{SCHEME: []}],
    }


def _interfaces(agent_id: str, address: str, places: Places) -> list[dict[str, str]]:
    """1.0 first, as clients take what they know in this order. On gRPC the tenant says which agent is meant, which 0.3
    cannot."""
    found = [(f"{address}/", JSONRPC, "1.0", ""), (address, REST, "1.0", "")]
    found += [(places.grpc, GRPC, "1.0", agent_id)] if places.grpc else []
    found += [(f"{address}/", JSONRPC, "0.3", ""), (address, REST, "0.3", "")]
    found += [(places.grpc, GRPC, "0.3", agent_id)] if places.grpc and agent_id == HEADWATER else []
    return [
        {"url": url, "protocolBinding": binding, "protocolVersion": version, **({"tenant": tenant} if tenant else {})}
        for url, binding, version, tenant in found
    ]


def _skill(skill: Skill) -> dict[str, Any]:
    shown = {"id": skill.skill_id, "name": skill.name, "description": skill.description, "tags": list(skill.tags)}
    return shown | {"examples": list(skill.examples)}


def card_bytes(card: dict[str, Any]) -> tuple[bytes, str]:
    """A card's body and its entity tag."""
    body = json.dumps(card, ensure_ascii=False).encode("utf-8", "replace")
    return body, f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
