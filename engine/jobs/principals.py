"""Who a job or schedule runs as, as it is stored: the rights of that moment, which later can only shrink."""

import json

from core.context import Principal


def dump_principal(principal: Principal) -> str:
    return json.dumps(
        {
            "subject": principal.subject,
            "tenant": principal.tenant,
            "roles": sorted(principal.roles),
            "permissions": sorted(principal.permissions),
            "via": principal.via,
            "credential_id": principal.credential_id,
            "attributes": dict(principal.attributes),
            "connections": None if principal.connections is None else sorted(principal.connections),
        }
    )


def load_principal(text: str) -> Principal:
    stored = json.loads(text)
    stored["roles"] = frozenset(stored["roles"])
    stored["permissions"] = frozenset(stored["permissions"])
    if stored.get("connections") is not None:
        stored["connections"] = frozenset(stored["connections"])
    return Principal(**stored)
