"""Policies: which rows and columns of data somebody may see, by role, user, agent or tag."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from core.errors import Conflict
from core.pages import Listing, Paged
from core.portable import Model
from core.tool import Empty, tool
from engine.context import Ctx
from engine.identity.grants import check_version
from engine.lake.names import TABLE_NAME
from engine.policy.policy import EVERY, Bound, Policy, Rule, Subjects
from engine.policy.rules import Mask
from tools.admin.users import EXPECTED

Privacy = Literal["public", "masked", "aggregate_only", "hidden"]
ID = r"^[A-Za-z0-9_-]{1,64}$"
NO_TABLE = rf"^$|{TABLE_NAME}"
STEP = r"^[0-9]{1,12}([.][0-9]{1,6})?$"


class PolicyMask(Model):
    """How masked values are made."""

    kind: Literal["null", "constant", "hash", "partial", "date", "number"] = Field(
        "null", description="null; constant; hash (equal values stay equal); partial (stars); date, number (coarser)."
    )
    value: str = Field("", max_length=255, pattern=r"^[^\x00]*$", description="For constant: the value.")
    keep_first: int = Field(0, ge=0, le=64, description="For partial: characters shown at the beginning.")
    keep_last: int = Field(0, ge=0, le=64, description="For partial: characters shown at the end.")
    grain: Literal["year", "quarter", "month", "week", "day", "hour"] = Field(
        "year", description="For date: dates are cut to the beginning of this."
    )
    step: str = Field("10", pattern=STEP, description="For number: numbers are rounded towards zero to its multiples.")


class PolicySubjects(Model):
    """Whom a policy is about."""

    roles: list[str] = Field([], max_length=100, description="Roles.")
    users: list[str] = Field([], max_length=1000, description="User or client ids.")
    agents: list[str] = Field([], max_length=100, description='Agents that act for somebody; ["*"] means all.')


class PolicyExceptions(Model):
    """Whom a policy leaves alone."""

    roles: list[str] = Field([], max_length=100, description="Roles.")
    users: list[str] = Field([], max_length=1000, description="User or client ids.")


class CreatePolicy(Model):
    """A new policy."""

    policy_id: str | None = Field(None, pattern=ID, description="Id of your choice; made up unless given.")
    name: str = Field(min_length=1, max_length=255, description="What it is for, for example `EU sees the EU`.")
    description: str = Field("", max_length=4000, description="Why it is there.")
    kind: Literal["row_filter", "column"] = Field(
        description="row_filter: which rows are there; column: how columns may be used."
    )
    connection_id: str | None = Field(
        None, pattern=rf"{ID}|^[*]$", description="Default the lakehouse; with a tag, all connections."
    )
    table: str = Field("", pattern=NO_TABLE, max_length=512, description="The table; empty with a tag.")
    columns: list[str] = Field([], max_length=1000, description='Columns of the table; ["*"] for all, also later ones.')
    tag: str = Field("", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.:-]{0,63})?$", description="Columns with this tag.")
    privacy: Privacy = Field("masked", description="For columns: public, masked, aggregate_only or hidden.")
    mask: PolicyMask | None = Field(None, description="For masked columns; default nulls.")
    filter: str = Field(
        "",
        max_length=4000,
        description="For row_filter: a condition over the columns, `principal.subject`, `principal.<attribute>` and "
        "`'x' IN principal.roles`, for example `region = principal.region`. A missing attribute is null.",
    )
    min_group_size: int = Field(0, ge=0, le=1_000_000, description="Rows that an aggregate stands for at least.")
    applies_to: PolicySubjects = Field(PolicySubjects(), description="Whom it is about; empty means everyone.")
    except_for: PolicyExceptions = Field(PolicyExceptions(), description="Whom it leaves alone.")
    enabled: bool = Field(True, description="Whether it is on.")
    expires_at: datetime | None = Field(
        None, description="When it grants nothing any more; what it takes away stays away until it is deleted."
    )


class UpdatePolicy(Model):
    """Changes of a policy; what is left out stays."""

    policy_id: str = Field(max_length=64, description="Id of the policy; list_policies shows them.")
    name: str | None = Field(None, min_length=1, max_length=255, description="What it is for.")
    description: str | None = Field(None, max_length=4000, description="Why it is there.")
    privacy: Privacy | None = Field(None, description="How the columns may be used.")
    mask: PolicyMask | None = Field(None, description="How masked values are made.")
    columns: list[str] | None = Field(None, max_length=1000, description="Columns of the table.")
    filter: str | None = Field(None, max_length=4000, description="The condition of a row filter.")
    min_group_size: int | None = Field(None, ge=0, le=1_000_000, description="Rows of a group at least.")
    applies_to: PolicySubjects | None = Field(None, description="Whom it is about.")
    except_for: PolicyExceptions | None = Field(None, description="Whom it leaves alone.")
    enabled: bool | None = Field(None, description="Whether it is on.")
    expires_at: datetime | None = Field(None, description="When it grants nothing any more.")
    expected_version: int | None = Field(None, ge=1, description=EXPECTED)


class PolicyRef(Model):
    """Which policy."""

    policy_id: str = Field(max_length=64, description="Id of the policy; list_policies shows them.")


class ListPolicies(Paged):
    """Which page of policies to list."""


class PolicyInfo(Model):
    """A policy."""

    policy_id: str = Field(description="Its id.")
    name: str = Field(description="What it is for.")
    description: str = Field(description="Why it is there.")
    kind: str = Field(description="row_filter or column.")
    connection_id: str = Field(description="The connection; * means all.")
    table: str = Field(description="The table; empty with a tag.")
    columns: list[str] = Field(description="Its columns, as they were called when the policy was made.")
    tag: str = Field(description="The tag; empty with a table.")
    privacy: str = Field(description="How the columns may be used.")
    mask: PolicyMask | None = Field(description="How masked values are made.")
    filter: str = Field(description="The condition of a row filter.")
    min_group_size: int = Field(description="Rows of a group at least; 0: the default.")
    applies_to: PolicySubjects = Field(description="Whom it is about; empty means everyone.")
    except_for: PolicyExceptions = Field(description="Whom it leaves alone.")
    enabled: bool = Field(description="Whether it is on.")
    expires_at: datetime | None = Field(description="When it grants nothing any more (UTC).")
    status: str = Field(
        description="active, disabled, expired (takes away, grants nothing) or unreadable (all it is about is refused)."
    )
    created_at: datetime = Field(description="When it was made (UTC).")
    updated_at: datetime = Field(description="When it was last changed (UTC).")
    version: int = Field(description="Raised by every change; update_policy takes it as `expected_version`.")


class PolicyList(Listing):
    """A page of policies."""

    policies: list[PolicyInfo] = Field(description="The policies, by name.")
    items: list[PolicyInfo] = Field(description="The same list.")


@tool("GET /policies", needs="policies.manage", effect="read")
async def list_policies(ctx: Ctx, request: ListPolicies) -> PolicyList:
    """List the policies on data, by name."""
    window = ctx.engine.pages.window("list_policies", request, ctx.principal)
    found = await ctx.engine.catalog.policies.listing(ctx.principal)
    page = [show(policy) for policy in found[window.offset : window.offset + window.size]]
    return PolicyList(
        policies=page,
        items=page,
        total_count=len(found),
        next_page_token=ctx.engine.pages.next_token("list_policies", request, ctx.principal, window, len(found)),
    )


@tool("GET /policies/{policy_id}", needs="policies.manage", effect="read")
async def get_policy(ctx: Ctx, request: PolicyRef) -> PolicyInfo:
    """Show one policy."""
    return show(await ctx.engine.catalog.policies.get(ctx.principal, request.policy_id))


@tool("POST /policies", needs="policies.manage", effect="write", status=201, location="/policies/{policy_id}")
async def create_policy(ctx: Ctx, request: CreatePolicy) -> PolicyInfo:
    """Make a policy: filter a table's rows, or mask, hide or restrict columns, for some or for all.

    It holds within two seconds, for you as well unless you are excepted. Try it with `test_policy`. For a column
    the more specific subject wins (user, role, everyone), then the more specific target (column, tag, table), then
    the stricter; row filters all hold; what is for agents only narrows."""
    engine = ctx.engine
    made = await engine.catalog.policies.create(
        ctx.principal,
        await engine.rulebook.bind(ctx.principal, rule_of(request)),
        name=request.name,
        description=request.description,
        policy_id=request.policy_id or "",
        is_enabled=request.enabled,
        expires_at=seconds(request.expires_at),
    )
    ctx.note(f"policy:{made.policy_id}")
    return show(made)


@tool("PATCH /policies/{policy_id}", "PUT /policies/{policy_id}", needs="policies.manage", effect="write")
async def update_policy(ctx: Ctx, request: UpdatePolicy) -> PolicyInfo:
    """Change a policy; what it is about (kind, table, tag) stays."""
    engine = ctx.engine
    policy = await engine.catalog.policies.get(ctx.principal, request.policy_id)
    if policy.is_unreadable:
        raise Conflict("This policy cannot be read.", hint="Delete it and make it anew.")
    check_version(request.expected_version, policy.version, "The policy")
    given = request.model_fields_set
    rule = changed_rule(policy.rule, request)
    if rule != policy.rule:
        rule = await engine.rulebook.bind(ctx.principal, rule)
    changed = replace(
        policy,
        rule=rule,
        name=request.name or policy.name,
        description=policy.description if request.description is None else request.description,
        is_enabled=policy.is_enabled if request.enabled is None else request.enabled,
        expires_at=seconds(request.expires_at) if "expires_at" in given else policy.expires_at,
    )
    ctx.note(f"policy:{policy.policy_id}")
    return show(await engine.catalog.policies.update(ctx.principal, changed))


@tool("DELETE /policies/{policy_id}", needs="policies.manage", effect="destroy", status=204)
async def delete_policy(ctx: Ctx, request: PolicyRef) -> Empty:
    """Delete a policy: what it kept from people is theirs to see at once.

    `update_policy` with `enabled` false turns it off and keeps it."""
    ctx.note(f"policy:{request.policy_id}")
    await ctx.engine.catalog.policies.delete(ctx.principal, request.policy_id)
    return Empty()


def rule_of(request: CreatePolicy) -> Rule:
    is_filter = request.kind == "row_filter"
    return Rule(
        kind=request.kind,
        connection_id=request.connection_id or (EVERY if request.tag else "lakehouse"),
        table=request.table,
        columns=tuple(Bound(name) for name in request.columns),
        tag=request.tag,
        privacy="public" if is_filter else request.privacy,
        mask=mask_of(request.mask),
        filter=request.filter,
        min_group_size=request.min_group_size,
        applies_to=subjects_of(request.applies_to),
        except_for=subjects_of(request.except_for),
    )


def changed_rule(rule: Rule, request: UpdatePolicy) -> Rule:
    privacy = request.privacy or rule.privacy
    mask = mask_of(request.mask) if request.mask else rule.mask
    is_same = request.filter in (None, rule.filter)
    return replace(
        rule,
        privacy=privacy,
        mask=mask if privacy == "masked" or request.mask else None,
        columns=rule.columns if request.columns is None else tuple(_named(name, rule) for name in request.columns),
        filter=rule.filter if is_same else request.filter or "",
        filter_columns=rule.filter_columns if is_same else (),
        facts=rule.facts if is_same else (),
        min_group_size=rule.min_group_size if request.min_group_size is None else request.min_group_size,
        applies_to=subjects_of(request.applies_to) if request.applies_to else rule.applies_to,
        except_for=subjects_of(request.except_for) if request.except_for else rule.except_for,
    )


def _named(name: str, rule: Rule) -> Bound:
    """A column by the name that it has now, or by the one under which the policy knows it."""
    return next((item for item in rule.columns if item.name.lower() == name.lower()), Bound(name))


def mask_of(mask: PolicyMask | None) -> Mask | None:
    if mask is None:
        return None
    by_kind: dict[str, dict[str, str]] = {
        "constant": {"value": mask.value},
        "partial": {"keep_first": str(mask.keep_first), "keep_last": str(mask.keep_last)},
        "date": {"grain": mask.grain},
        "number": {"step": mask.step},
    }
    return Mask(mask.kind, tuple(sorted(by_kind.get(mask.kind, {}).items())))


def subjects_of(given: PolicySubjects | PolicyExceptions) -> Subjects:
    agents = given.agents if isinstance(given, PolicySubjects) else ()
    return Subjects(frozenset(given.roles), frozenset(given.users), frozenset(agents))


def seconds(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def show(policy: Policy) -> PolicyInfo:
    rule, expires_at = policy.rule, policy.expires_at
    is_expired = policy.is_expired(datetime.now(UTC).timestamp())
    status = "expired" if is_expired else "active"
    return PolicyInfo(
        policy_id=policy.policy_id,
        name=policy.name,
        description=policy.description,
        kind=rule.kind,
        connection_id=rule.connection_id,
        table=rule.table,
        columns=[column.name for column in rule.columns],
        tag=rule.tag,
        privacy=rule.privacy,
        mask=None if rule.mask is None else show_mask(rule.mask),
        filter=rule.filter,
        min_group_size=rule.min_group_size,
        applies_to=PolicySubjects(
            roles=sorted(rule.applies_to.roles),
            users=sorted(rule.applies_to.users),
            agents=sorted(rule.applies_to.agents),
        ),
        except_for=PolicyExceptions(roles=sorted(rule.except_for.roles), users=sorted(rule.except_for.users)),
        enabled=policy.is_enabled,
        expires_at=None if expires_at is None else datetime.fromtimestamp(expires_at, UTC),
        status="disabled" if not policy.is_enabled else "unreadable" if policy.is_unreadable else status,
        created_at=datetime.fromtimestamp(policy.created_at, UTC),
        updated_at=datetime.fromtimestamp(policy.updated_at, UTC),
        version=policy.version,
    )


def show_mask(mask: Mask) -> PolicyMask:
    return PolicyMask.model_validate({"kind": mask.kind, **dict(mask.options)})
