"""Cards as the gateway shows them: what was approved, at addresses of ours, to be opened with our tokens."""

from collections.abc import Mapping
from typing import Any

from engine.agents.a2a_client import JSONRPC, REST, interfaces

SCHEME = "headwater"


def served_card(card: Mapping[str, Any], endpoint_url: str, address: str, grpc: str = "") -> dict[str, Any]:
    """An approved card with our addresses in place of its own, for clients of 1.0 and 0.3.

    `grpc` is our own gRPC address, where any agent of 1.0 is reached too, by its id for a tenant. The card's signatures
    are left out, for they would not hold: the card as it was signed is served beside, and this one gets ours."""
    found = interfaces(card, endpoint_url)
    places = {JSONRPC: f"{address}/", REST: address}
    shown = {
        name: value
        for name, value in card.items()
        if name not in ("signatures", "security", "securityRequirements", "additionalInterfaces")
    }
    listed = list(dict.fromkeys((places[each.binding], each.binding, each.version) for each in found))
    shown["supportedInterfaces"] = [
        {"url": url, "protocolBinding": binding, "protocolVersion": version} for url, binding, version in listed
    ]
    if grpc and any(not each.is_old for each in found):
        tenant = address.rpartition("/")[2]
        there = {"url": grpc, "protocolBinding": "GRPC", "protocolVersion": "1.0", "tenant": tenant}
        shown["supportedInterfaces"].append(there)
    shown["securitySchemes"] = {
        SCHEME: {"httpAuthSecurityScheme": {"scheme": "bearer"}, "type": "http", "scheme": "bearer"}
    }
    shown["securityRequirements"] = [{"schemes": {SCHEME: {"list": []}}}]
    shown["security"] = [{SCHEME: []}]
    _add_old_form(shown, card, listed)
    return shown


def _add_old_form(shown: dict[str, Any], card: Mapping[str, Any], listed: list[tuple[str, str, str]]) -> None:
    """What clients of 0.3 read, where the agent speaks it."""
    for name in ("url", "preferredTransport", "protocolVersion"):
        shown.pop(name, None)
    old = [(url, binding) for url, binding, version in listed if version.startswith("0.")]
    if not old:
        return
    first = min(old, key=lambda item: item[1] != JSONRPC)
    version = card.get("protocolVersion") or next(version for *_, version in listed if version.startswith("0."))
    shown |= {"url": first[0], "preferredTransport": first[1], "protocolVersion": version}
    shown["additionalInterfaces"] = [{"url": url, "transport": binding} for url, binding in old]
