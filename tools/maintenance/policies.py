"""Maintenance policies: which care a table gets by itself, when, and in whose name."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from core.context import Principal
from core.errors import Conflict, InvalidArgument, Unauthorized
from core.portable import Model
from core.tool import tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME
from engine.maintenance.found import Found
from engine.maintenance.standing import PARTS, care_keys, care_name, care_request
from engine.schedules.schedules import Order, Schedule

CRON = r"^ *(@[A-Za-z]+|[0-9A-Za-z*,/-]+( +[0-9A-Za-z*,/-]+){4}) *$"
CRON_TEXT = "Minute hour day month weekday (UTC), for example `30 3 * * *`; or @hourly, @daily, @weekly."


class GetMaintenancePolicy(Model):
    """Which table."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")


class CompactionRule(Model):
    """Compaction by itself."""

    enabled: bool = Field(False, description="Whether it runs.")
    cron: str = Field("30 2 * * *", pattern=CRON, max_length=255, description=CRON_TEXT)
    strategy: Literal["binpack", "sort", "zorder"] = Field("binpack", description="As in compact_table.")
    target_file_mb: int = Field(128, ge=1, le=4096, description="Size of new files to aim at, in MB.")
    min_input_files: int = Field(5, ge=2, le=100_000, description="Fewer small files than this stay as they are.")
    order_by: list[str] = Field([], max_length=8, description="Columns for `sort` and `zorder`.")


class ExpiryRule(Model):
    """Expiry of snapshots by itself."""

    enabled: bool = Field(False, description="Whether it runs.")
    cron: str = Field("30 3 * * *", pattern=CRON, max_length=255, description=CRON_TEXT)
    retain_last: int = Field(20, ge=1, le=100_000, description="Newest snapshots of each branch that stay.")
    older_than_hours: int = Field(120, ge=0, le=1_000_000, description="Only snapshots older than this; 0: of any age.")


class OrphanRule(Model):
    """Removal of orphan files by itself."""

    enabled: bool = Field(False, description="Whether it runs.")
    cron: str = Field("30 4 * * sun", pattern=CRON, max_length=255, description=CRON_TEXT)
    older_than_hours: int = Field(72, ge=72, le=1_000_000, description="Files younger than this may still be in use.")


class ManifestRule(Model):
    """Rewriting of manifests by itself."""

    enabled: bool = Field(False, description="Whether it runs.")
    cron: str = Field("0 5 * * *", pattern=CRON, max_length=255, description=CRON_TEXT)
    min_manifests: int = Field(20, ge=2, le=1_000_000, description="Fewer manifests than this stay as they are.")


class SetMaintenancePolicy(GetMaintenancePolicy):
    """The whole policy: parts that are left out are off."""

    compaction: CompactionRule = Field(CompactionRule(), description="Few, well-filled files.")
    expiry: ExpiryRule = Field(ExpiryRule(), description="Old snapshots and the files that only they used.")
    orphans: OrphanRule = Field(OrphanRule(), description="Files that failed writers left.")
    manifests: ManifestRule = Field(ManifestRule(), description="Few manifests, so that queries plan faster.")


class PolicyRun(Model):
    """When a part of the policy ran and runs."""

    part: str = Field(description="`compaction`, `expiry`, `orphans` or `manifests`.")
    owner: str = Field(description="Subject that it runs as, with the rights they have at that moment.")
    next_at: datetime = Field(description="When it runs next (UTC).")
    last_at: datetime | None = Field(description="When it last ran (UTC).")
    last_job_id: str | None = Field(description="The job of the last run that was accepted.")
    last_error: str | None = Field(description="Why the last run was refused; null when it was accepted.")


class MaintenancePolicy(Model):
    """A table's maintenance policy."""

    table: str = Field(description="Name of the table.")
    compaction: CompactionRule = Field(description="Few, well-filled files.")
    expiry: ExpiryRule = Field(description="Old snapshots and the files that only they used.")
    orphans: OrphanRule = Field(description="Files that failed writers left.")
    manifests: ManifestRule = Field(description="Few manifests, so that queries plan faster.")
    runs: list[PolicyRun] = Field(description="One for each part that is on.")


Rule = CompactionRule | ExpiryRule | OrphanRule | ManifestRule
_RULES: Mapping[str, type[Rule]] = {
    "compaction": CompactionRule,
    "expiry": ExpiryRule,
    "orphans": OrphanRule,
    "manifests": ManifestRule,
}


@tool("GET /table/{table}/maintenance", needs="catalog.read", effect="read")
async def get_maintenance_policy(ctx: Ctx, request: GetMaintenancePolicy) -> MaintenancePolicy:
    """Show which care a lakehouse table gets by itself, and how it went.

    `set_maintenance_policy` changes it; parts that are off show what they would be by default."""
    found = await ctx.engine.care.find(ctx.principal, request.table)
    keys = care_keys(str(found.name))
    return _show(found, await ctx.engine.schedules.standing(ctx.principal.tenant, keys.values()), ctx.principal)


@tool("PUT /table/{table}/maintenance", needs="tables.maintain", effect="destroy")
async def set_maintenance_policy(ctx: Ctx, request: SetMaintenancePolicy) -> MaintenancePolicy:
    """Set which care a lakehouse table gets by itself: compaction, expiry, orphans, manifests.

    It runs as you, with the rights you have at that moment. Saying yes to this is saying yes to every run: expiry and
    orphan removal delete files without asking again."""
    if ctx.principal.via == "agent" and (request.expiry.enabled or request.orphans.enabled):
        raise Unauthorized(
            "An agent may not decide that files are deleted from now on.", hint="Ask a person to set this policy."
        )
    found = await ctx.engine.care.find(ctx.principal, request.table)
    ctx.note(f"table:lakehouse/{found.name}")
    if request.compaction.enabled:
        found.check_columns([], plain=request.compaction.order_by)
    orders = {key: _order(found, part, getattr(request, part)) for part, key in care_keys(str(found.name)).items()}
    try:
        made = await ctx.engine.schedules.replace(ctx.principal, orders)
    except InvalidArgument as error:  # no schema of ours can hold the calendar
        raise Conflict(error.message, hint=error.hint) from error
    return _show(found, made, ctx.principal)


def _order(found: Found, part: str, rule: Rule) -> Order | None:
    if not rule.enabled:
        return None
    arguments: dict[str, Any] = rule.model_dump(exclude={"enabled", "cron"})
    if part == "orphans":
        arguments["dry_run"] = False
    table = str(found.name)
    return Order(care_name(part, table), PARTS[part], care_request(arguments, table), rule.cron)


def _show(found: Found, standing: Mapping[str, Schedule], by: Principal) -> MaintenancePolicy:
    rules: dict[str, Any] = {}
    runs: list[PolicyRun] = []
    for part, key in care_keys(str(found.name)).items():
        kind, schedule = _RULES[part], standing.get(key)
        rules[part] = kind() if schedule is None else _rule(found, kind, schedule)
        if schedule is not None:
            runs.append(_run(part, schedule, by))
    return MaintenancePolicy(table=str(found.name), runs=runs, **rules)


def _rule(found: Found, kind: type[Rule], schedule: Schedule) -> Rule:
    stored = {name: value for name, value in json.loads(schedule.request).items() if name in kind.model_fields}
    if "order_by" in stored:  # the caller may not see every column that the policy's owner sees
        stored["order_by"] = [name for name in stored["order_by"] if name in found.columns]
    return kind(enabled=True, cron=schedule.cron, **stored)


def _run(part: str, schedule: Schedule, by: Principal) -> PolicyRun:
    is_own = schedule.principal.subject == by.subject or by.may("jobs.read")
    return PolicyRun(
        part=part,
        owner=schedule.principal.subject,
        next_at=datetime.fromtimestamp(schedule.next_at, UTC),
        last_at=None if schedule.last_at is None else datetime.fromtimestamp(schedule.last_at, UTC),
        last_job_id=schedule.last_job_id if is_own else None,
        last_error=schedule.last_error if is_own else None,
    )
