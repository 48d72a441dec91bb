"""What stands between a tenant and its file: steps, each a call of a tool, and what the file does not say."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from core.errors import Conflict, InvalidArgument
from headwater.declared.kinds import (
    LIMIT_FIELDS,
    QUOTA_FIELDS,
    RULE_FIELDS,
    TENANT_FIELDS,
    Kind,
    kinds,
    sections,
)

Ask = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Calls a tool, here or on a server. Raises PlatformError."""

PAGE = 500


@dataclass(frozen=True, slots=True)
class Step:
    """One call that brings the tenant nearer to its file, and how it is told."""

    sign: str  # + made, ~ changed, - deleted
    what: str
    tool: str
    arguments: Mapping[str, Any]
    changes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.sign} {self.what}" + (f": {', '.join(self.changes)}" if self.changes else "")


@dataclass(slots=True)
class Plan:
    """Steps in order; `drift` is there and not in the file."""

    steps: list[Step] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    equal: int = 0

    @property
    def is_empty(self) -> bool:
        return not self.steps


def check_file(declared: Any) -> dict[str, Any]:
    """The file as read from YAML, with every mistake of form refused. Raises InvalidArgument."""
    hint = f"Its sections: {', '.join(sections())}."
    if not isinstance(declared, dict):
        raise InvalidArgument("The file is not a mapping.", hint=hint)
    unknown = sorted(str(name) for name in declared if name not in sections())
    if unknown:
        raise InvalidArgument(f"No section {unknown[0][:64]!r}.", hint=hint)
    for kind in kinds():
        _check_section(kind, declared.get(kind.section) or [])
    _check_fields("tenant", declared.get("tenant") or {}, TENANT_FIELDS)
    _check_fields("quota", declared.get("quota") or {}, QUOTA_FIELDS)
    rules = declared.get("approval_rules") or []
    if not isinstance(rules, list):
        raise InvalidArgument("approval_rules is a list.", hint=f"Each item may say: {', '.join(RULE_FIELDS)}.")
    for rule in rules:
        _check_fields("an approval rule", rule, RULE_FIELDS)
    return declared


def _check_section(kind: Kind, items: Any) -> None:
    if not isinstance(items, list):
        raise InvalidArgument(f"{kind.section} is a list.", hint=f"Each item has {kind.id}.")
    seen: set[str] = set()
    for item in items:
        name = item.get(kind.id) if isinstance(item, dict) else None
        if not isinstance(name, str) or not re.fullmatch(kind.names, name) or name in seen:
            raise InvalidArgument(f"{kind.section}: each item has a {kind.id} of its own.", hint=f"It is {kind.names}.")
        seen.add(name)
        _check_fields(f"{kind.noun} {name}", item, (kind.id, *kind.fields, *kind.fixed, *kind.once))


def _check_fields(what: str, item: Any, known: Iterable[str]) -> None:
    unknown = sorted(set(item) - set(known)) if isinstance(item, dict) else ["?"]
    if unknown:
        raise InvalidArgument(f"{what} has no {str(unknown[0])[:64]!r}.", hint=f"It may say: {', '.join(known)}.")


async def make_plan(ask: Ask, declared: Mapping[str, Any], *, prune: bool = False) -> Plan:
    """Compare a checked file with what is there. Raises Conflict where a change is asked that cannot be made."""
    plan = Plan()
    await _plan_tenant(ask, declared.get("tenant") or {}, plan)
    deletions: list[Step] = []
    me = (await ask("get_current_user", {}))["id"]
    for kind in kinds():
        if kind.section in declared:
            found = await current(ask, kind)
            if me not in {item[kind.id] for item in declared[kind.section] or []}:
                found.pop(me, None)  # nobody deletes who is at work
            _plan_kind(kind, declared[kind.section] or [], found, plan, deletions)
    if prune:
        plan.steps += reversed(deletions)
        plan.drift = []
    await _plan_default_model(ask, declared, plan)
    await _plan_quota(ask, declared.get("quota") or {}, plan)
    await _plan_rules(ask, declared, plan)  # last, since they may hold back what comes after them
    return plan


async def current(ask: Ask, kind: Kind) -> dict[str, dict[str, Any]]:
    """What is there of a kind, by id, without what nobody declares."""
    listed = await everything(ask, kind.listing, kind.shown_in)
    found = {item[kind.listed_id]: dict(kind.as_given(item)) for item in listed if not kind.is_ours(item)}
    if kind.once and found:
        await _add_projects(ask, found)
    return found


async def everything(ask: Ask, listing: str, field: str = "items", **arguments: Any) -> list[dict[str, Any]]:
    """All pages of a listing."""
    found, token = list[dict[str, Any]](), None
    while True:
        page = await ask(listing, {"page_size": PAGE, **arguments, **({"page_token": token} if token else {})})
        found += page[field]
        token = page.get("next_page_token")
        if not token:
            return found


async def _add_projects(ask: Ask, agents: Mapping[str, dict[str, Any]]) -> None:
    """Which projects agents are in, and as what: their listing does not say."""
    for project in await everything(ask, "list_projects"):
        for place in await everything(ask, "list_project_agents", "places", project_id=project["id"]):
            agent = agents.get(place["agent_id"])
            if agent is not None:
                agent.setdefault("places", {})[project["id"]] = place["role"]


def _plan_kind(
    kind: Kind, wanted: list[dict[str, Any]], found: Mapping[str, dict[str, Any]], plan: Plan, deletions: list[Step]
) -> None:
    for item in wanted:
        name = item[kind.id]
        if name not in found:
            plan.steps.append(Step("+", f"{kind.noun} {name}", kind.create, item))
            continue
        changed = {key: item[key] for key in kind.fields if key in item and not _same(kind, key, item, found[name])}
        fixed = [key for key in kind.fixed if key in item and not _same(kind, key, item, found[name])]
        if fixed:
            raise Conflict(
                f"{', '.join(fixed)} of the {kind.noun} {name} cannot be changed.",
                hint="Delete it and apply again, or put into the file what is there.",
            )
        steps = [*_changes(kind, name, changed), *_place(kind, name, item, found[name])]
        plan.steps += steps
        plan.equal += not steps
    for name in sorted(set(found) - {item[kind.id] for item in wanted}):
        plan.drift.append(f"{kind.noun} {name}")
        deletions.append(Step("-", f"{kind.noun} {name}", kind.delete, {kind.ref: name}))


def _changes(kind: Kind, name: str, changed: dict[str, Any]) -> list[Step]:
    what = f"{kind.noun} {name}"
    return [Step("~", what, kind.update, {kind.ref: name, **changed}, tuple(changed))] if changed else []


def _place(kind: Kind, name: str, item: Mapping[str, Any], found: Mapping[str, Any]) -> list[Step]:
    """An agent that is not in the project that the file names, or there as something else."""
    project = item.get("project_id") if "project_id" in kind.once else None
    role = item.get("role") or ""
    if not project or found.get("places", {}).get(project) == role:
        return []
    arguments = {"project_id": project, "agent_id": name, "role": role}
    return [Step("~", f"{kind.noun} {name}", "assign_agent_to_project", arguments, ("project_id",))]


async def _plan_default_model(ask: Ask, declared: Mapping[str, Any], plan: Plan) -> None:
    if "default_model" in declared:
        wanted = declared["default_model"] or ""
        _add(plan, "default model", "set_default_model", {"name": wanted} if wanted != await default_model(ask) else {})


async def default_model(ask: Ask) -> str:
    """The name of the model that answers where nobody names one; empty without one."""
    found = await everything(ask, "list_models")
    return next((str(model["name"]) for model in found if model["is_default"]), "")


async def _plan_rules(ask: Ask, declared: Mapping[str, Any], plan: Plan) -> None:
    if "approval_rules" not in declared:
        return
    found = await ask("get_approval_rules", {})
    wanted = [as_rule(rule) for rule in declared["approval_rules"] or []]
    arguments = {"rules": wanted, "expected_version": found["version"]}
    is_equal = wanted == [as_rule(rule) for rule in found["rules"]]
    _add(plan, "approval rules", "set_approval_rules", {} if is_equal else arguments, ("rules",))


def as_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule with all that it may say."""
    lists = {name: list(rule.get(name) or []) for name in RULE_FIELDS if name != "name"}
    return {"name": rule.get("name") or "", **lists}


async def _plan_tenant(ask: Ask, wanted: dict[str, Any], plan: Plan) -> None:
    if wanted:
        found = await ask("get_tenant", {})
        changed: dict[str, Any] = {}
        if wanted.get("name", found["name"]) != found["name"]:
            changed["name"] = wanted["name"]
        given = wanted.get("configuration") or {}
        different = {key: value for key, value in given.items() if not _equal(value, found["configuration"].get(key))}
        if different:
            changed["configuration"] = different
        _add(plan, "tenant", "update_tenant", changed)


async def _plan_quota(ask: Ask, wanted: dict[str, Any], plan: Plan) -> None:
    if wanted:
        found = as_quota(await ask("get_query_quota", {}))
        merged = {**found, **wanted}
        limits = [{**_NO_LIMIT, **limit} for limit in merged.get("limits") or []]
        changed = {
            name: merged[name]
            for name in QUOTA_FIELDS
            if not _equal(limits if name == "limits" else merged.get(name), found.get(name))
        }
        _add(
            plan,
            "quota",
            "set_query_quota",
            {**{name: merged.get(name) for name in QUOTA_FIELDS}} if changed else {},
            changed,
        )


_NO_LIMIT = {"scope": "tenant", "scope_id": "", "span": "day", "soft": None, "hard": None}


def as_quota(state: Mapping[str, Any]) -> dict[str, Any]:
    """A quota as a file says it."""
    limits = [{name: limit.get(name) for name in LIMIT_FIELDS} for limit in state["limits"]]
    return {**state["quota"], "limits": limits}


def _add(plan: Plan, what: str, tool: str, arguments: Mapping[str, Any], changes: Iterable[str] = ()) -> None:
    if arguments:
        plan.steps.append(Step("~", what, tool, arguments, tuple(changes or arguments)))
    else:
        plan.equal += 1


def _same(kind: Kind, name: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    want, have = wanted[name], found.get(name)
    if name in kind.secrets:
        return True
    if name in kind.sets:
        return sorted(want or []) == sorted(have or [])
    if name == "options" and found.get("has_secret"):  # what is secret is not shown, and counts as it is
        want = {key: value for key, value in want.items() if key in (have or {})}
    return _equal(want, have)


def _equal(want: Any, have: Any) -> bool:
    """Whether two values mean the same: what a file leaves out of a mapping is as it is, `5` is `5.00`."""
    if isinstance(want, dict) and isinstance(have, dict):
        return all(_equal(value, have.get(key)) for key, value in want.items())
    if isinstance(want, list) and isinstance(have, list):
        if want and all(isinstance(item, dict) and "metric" in item for item in [*want, *have]):
            want, have = sorted(want, key=_limit_key), sorted(have, key=_limit_key)
        return len(want) == len(have) and all(_equal(*pair) for pair in zip(want, have, strict=True))
    if want in (None, "") and have in (None, ""):
        return True
    return bool(want == have) or _number(want) == _number(have) != None  # noqa: E711


def _limit_key(limit: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(limit.get(name)) for name in ("metric", "scope", "scope_id", "span"))


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None
