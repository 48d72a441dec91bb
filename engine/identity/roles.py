"""Roles are named sets of permissions: the built-in ones with their aliases, and a tenant's own."""

from collections.abc import Iterable, Mapping

_READ = frozenset(["catalog.read", "assets.read", "datasets.read", "projects.read", "semantic.read", "agents.read"])
_ASK = frozenset(["query.run", "query.export", "agents.run"])
_EDIT = frozenset(
    ["records.write", "queries.manage", "assets.manage", "datasets.manage", "projects.manage", "semantic.edit"]
)
_FOLLOW = frozenset(["pipelines.read", "jobs.read"])
_INSPECT = frozenset(["audit.read", "tenant.read"])
_ENGINEER = frozenset(
    [
        "tables.maintain",
        "tables.evolve",
        "pipelines.edit",
        "pipelines.run",
        "approvals.comment",
        "evals.run",
        "notebooks.use",
    ]
)
_LEAD = frozenset(["pipelines.lead", "approvals.read", "catalog.manage"])
_ADMINISTER = frozenset(["approvals.decide", "agents.manage", "users.manage", "policies.manage", "tenant.manage"])

PLATFORM_ONLY = frozenset(["platform.tenants", "platform.operate"])
SUPER_ADMIN = "super_admin"

_VIEWER = _READ | _ASK
_EDITOR = _VIEWER | _EDIT
_DATA_ENGINEER = _EDITOR | _FOLLOW | _ENGINEER
_LEAD_DATA_ENGINEER = _DATA_ENGINEER | _LEAD
_ADMIN = _LEAD_DATA_ENGINEER | _INSPECT | _ADMINISTER

BUILT_IN: dict[str, frozenset[str]] = {
    "viewer": _VIEWER,
    "editor": _EDITOR,
    "auditor": _READ | _FOLLOW | _INSPECT,
    "data_engineer": _DATA_ENGINEER,
    "lead_data_engineer": _LEAD_DATA_ENGINEER,
    "admin": _ADMIN,
    SUPER_ADMIN: _ADMIN | PLATFORM_ONLY,
}

ALIASES: dict[str, str] = {
    "Dataset user": "viewer",
    "Dataset editor": "editor",
    "Auditor": "auditor",
    "DataEngineer": "data_engineer",
    "LeadDataEngineer": "lead_data_engineer",
    "Org admin": "admin",
}

PERMISSIONS: frozenset[str] = BUILT_IN[SUPER_ADMIN]

_STRONGEST_FIRST = tuple(reversed(BUILT_IN))
_DOCUMENTED = {"viewer": "Dataset user", "editor": "Dataset editor", "admin": "Org admin"}


def canonical(role: str) -> str:
    """A role's own name, also when it is given by an alias."""
    return ALIASES.get(role, role)


def permissions_of(roles: Iterable[str], custom: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Everything that the roles allow. An unknown role allows nothing.

    A tenant's own role neither replaces a built-in one nor reaches beyond the tenant."""
    allowed: frozenset[str] = frozenset()
    for name in map(canonical, roles):
        if name in BUILT_IN:
            allowed |= BUILT_IN[name]
        else:
            allowed |= custom.get(name, frozenset()) & PERMISSIONS - PLATFORM_ONLY
    return allowed


def main_role(roles: Iterable[str]) -> str:
    """The one role to show where a document has room for one, in that document's spelling if it has one."""
    held = {canonical(role) for role in roles}
    for name in _STRONGEST_FIRST:
        if name in held:
            return _DOCUMENTED.get(name, name)
    return min(held, default="")
