"""What a tenant's file may declare: each kind of thing with the tools that list, make, change and delete it.

Which fields a kind has is what its tools take: a field that a tool gains is one that files may say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from headwater.local import registry

ID = r"[A-Za-z0-9_-]{1,64}"
NAME = r"[A-Za-z0-9_.:-]{1,255}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One section of the file."""

    section: str
    noun: str
    id: str
    shown_id: str = ""  # the id's name in listings, where it is another
    called: str = ""  # and in changes
    shown_in: str = "items"
    as_given: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict  # what is listed, as the tools take it
    names: str = ID
    left_out: tuple[str, ...] = ()  # fields that files do not say
    once: tuple[str, ...] = ()  # given when it is made, and not shown by the listing
    secrets: tuple[str, ...] = ()  # never shown, so that they count as they are
    ours: tuple[tuple[str, object], ...] = ()  # what listings say of things that nobody declares; None: anything true
    sets: tuple[str, ...] = ()  # lists whose order means nothing

    @property
    def listed_id(self) -> str:
        return self.shown_id or self.id

    @property
    def ref(self) -> str:
        """What its changes call the id."""
        return self.called or self.id

    @property
    def listing(self) -> str:
        return f"list_{self.section}"

    @property
    def create(self) -> str:
        return f"create_{self.noun}"

    @property
    def update(self) -> str:
        return f"update_{self.noun}"

    @property
    def delete(self) -> str:
        return f"delete_{self.noun}"

    @property
    def fields(self) -> Sequence[str]:
        """What can be said, and changed."""
        return _fields(self)[0]

    @property
    def fixed(self) -> Sequence[str]:
        """What is given once and never changed."""
        return _fields(self)[1]

    def is_ours(self, item: Mapping[str, object]) -> bool:
        return any(item.get(name) if value is None else item.get(name) == value for name, value in self.ours)


@cache
def _fields(kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...]]:
    made, changed = (registry().get(tool).request.model_fields for tool in (kind.create, kind.update))
    said = [name for name in made if name not in (kind.id, *kind.left_out, *kind.once)]
    return tuple(name for name in said if name in changed), tuple(name for name in said if name not in changed)


def _model(listed: Mapping[str, Any]) -> Mapping[str, Any]:
    """A semantic model's definition, which is shown as dbt writes it."""
    definition = listed["definition"]
    parts = {name: definition.get(name) or [] for name in ("entities", "measures")}
    dimensions = [
        {**part, **(part.get("type_params") or {})} | {"type_params": None}
        for part in definition.get("dimensions") or []
    ]
    return {
        **listed,
        **parts,
        "dimensions": [{name: value for name, value in part.items() if value is not None} for part in dimensions],
        "primary_entity": definition.get("primary_entity", ""),
        "agg_time_dimension": (definition.get("defaults") or {}).get("agg_time_dimension", ""),
    }


ALL = (
    Kind("roles", "role", "role", ours=(("built_in", None),), sets=("permissions",)),
    Kind("users", "user", "user_id", "id", left_out=("role",), ours=(("deleted_at", None),), sets=("roles",)),
    Kind("clients", "client", "client_id", ours=(("is_from_file", None),), sets=("roles",)),
    Kind("projects", "project", "project_id", "id"),
    Kind("connections", "connection", "connection_id", ours=(("is_built_in", None),)),
    Kind("policies", "policy", "policy_id"),
    Kind("models", "model", "name", names=NAME, secrets=("api_key",), ours=(("source", "installation"),)),
    Kind("semantic_models", "semantic_model", "name", called="model", shown_in="models", names=NAME, as_given=_model),
    Kind("metrics", "metric", "name", called="metric", shown_in="metrics", names=NAME),
    Kind("agents", "agent", "agent_id", "id", once=("project_id", "role")),
)
"""In the order in which they are made; what is deleted goes in the opposite one."""


@cache
def kinds() -> tuple[Kind, ...]:
    """The kinds whose tools are there."""
    return tuple(kind for kind in ALL if all(tool in registry() for tool in (kind.listing, kind.create, kind.update)))


QUOTA_FIELDS = ("daily_limit_usd", "monthly_limit_usd", "limits")
LIMIT_FIELDS = ("metric", "scope", "scope_id", "span", "soft", "hard")
RULE_FIELDS = ("name", "tools", "effects", "roles", "except_roles")
TENANT_FIELDS = ("name", "configuration")
SINGLE = ("tenant", "quota", "approval_rules", "default_model")


def sections() -> tuple[str, ...]:
    """The names of all sections."""
    return (*SINGLE, *(kind.section for kind in kinds()))
