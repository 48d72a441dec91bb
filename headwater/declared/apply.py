"""A tenant as a file: shown as a plan, applied by calls of tools, written back."""

import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import yaml

from api.cli import Options
from core.errors import InvalidArgument, PlatformError
from core.settings import Settings
from headwater.declared.kinds import TENANT_FIELDS, Kind, kinds
from headwater.declared.plan import Ask, Plan, Step, as_quota, as_rule, check_file, current, default_model, make_plan

VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
EMPTY: tuple[Any, ...] = (None, "", [], {})


def read_file(path: Path) -> dict[str, Any]:
    """A tenant's file; `${NAME}` stands for a variable of the environment. Raises InvalidArgument."""
    try:
        declared = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidArgument(f"{path} cannot be read.", hint=str(error).partition("\n")[0][:200]) from None
    return check_file(_filled(declared))


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    return VARIABLE.sub(_variable, value) if isinstance(value, str) else value


def _variable(found: re.Match[str]) -> str:
    value = os.environ.get(found[1])
    if value is None:
        raise InvalidArgument(f"The file names the variable {found[1]}, which is not set.")
    return value


@asynccontextmanager
async def asking(settings: Settings, server: str | None, token: str | None) -> AsyncIterator[Ask]:
    """Calls of tools on a server, or in this process on a home."""
    from headwater.local import call_once, opened, registry

    if server:
        from headwater.login import logins_file, stored_token  # lazily: the outbound client
        from headwater.remote import Server

        held = token or await stored_token(server, file=logins_file())
        there = Server(server, held, settings.egress)

        async def far(tool: str, arguments: Any) -> dict[str, Any]:
            return _taken(await there.call(registry().get(tool), dict(arguments), Options()))

        yield far
        return
    async with opened(settings) as platform:

        async def near(tool: str, arguments: Any) -> dict[str, Any]:
            return _taken(await call_once(platform, token, tool, dict(arguments), Options()))

        yield near


def _taken(answer: Any) -> dict[str, Any]:
    if answer.error is not None:
        raise answer.error
    result: dict[str, Any] = answer.result or {}
    return result


def show(plan: Plan) -> str:
    """The plan, as people read it."""
    lines = [*map(str, plan.steps), *(f"? {what}: there, and not in the file" for what in plan.drift)]
    return "\n".join([*lines, f"{len(plan.steps)} to do, {plan.equal} as the file says, {len(plan.drift)} beyond it."])


async def run(ask: Ask, plan: Plan, tell: Callable[[str], None]) -> None:
    """Do every step, in order. Raises PlatformError; what was done until then stays, and applying again goes on."""
    for step in plan.steps:
        try:
            made = await ask(step.tool, step.arguments)
        except PlatformError as error:
            tell(f"failed at {step.sign} {step.what}")
            raise error
        tell(f"done {step}")
        _tell_secret(step, made, tell)


def _tell_secret(step: Step, made: dict[str, Any], tell: Callable[[str], None]) -> None:
    secret = made.get("client_secret")
    if secret:
        tell(f"  its secret, shown once: {secret}")


async def export(ask: Ask) -> str:
    """The file that says what is there now, without secrets."""
    tenant = await ask("get_tenant", {})
    said = {"name": tenant["name"], "configuration": _said(tenant["configuration"])}
    found: dict[str, Any] = {"tenant": {name: said[name] for name in TENANT_FIELDS if said[name] not in EMPTY}}
    quota = {name: value for name, value in as_quota(await ask("get_query_quota", {})).items() if value not in EMPTY}
    for kind in kinds():
        found[kind.section] = [_declared(kind, item) for item in (await current(ask, kind)).values()]
    rules = [_said(as_rule(rule)) for rule in (await ask("get_approval_rules", {}))["rules"]]
    single = {"default_model": await default_model(ask), "quota": quota, "approval_rules": rules}
    found |= {name: value for name, value in single.items() if value not in EMPTY}
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120)


def _declared(kind: Kind, item: dict[str, Any]) -> dict[str, Any]:
    said = {name: _said(item.get(name)) for name in (*kind.fixed, *kind.fields) if name not in kind.secrets}
    project, role = next(iter(sorted(item.get("places", {}).items())), ("", ""))
    said |= {"project_id": project, "role": role} if kind.once else {}
    return {kind.id: item[kind.listed_id]} | {name: value for name, value in said.items() if value not in EMPTY}


def _said(value: Any) -> Any:
    """A mapping without what it says nothing about."""
    if not isinstance(value, dict):
        return value
    return {name: _said(item) for name, item in value.items() if _said(item) not in EMPTY}


async def apply(
    settings: Settings, path: Path, *, server: str | None, token: str | None, prune: bool, mode: str
) -> int:
    """Plan, ask (`mode` ask), and apply; `plan` shows only. The exit code: 2 when a shown plan is not empty."""
    declared = read_file(path)
    async with asking(settings, server, token) as ask:
        plan = await make_plan(ask, declared, prune=prune)
        click.echo(show(plan))
        if mode == "plan":
            return 2 if plan.steps or plan.drift else 0
        if plan.is_empty or not (mode == "yes" or click.confirm("Apply?", err=True)):
            return 0
        await run(ask, plan, click.echo)
    return 0
