"""Rules: which calls need somebody else's approval."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from core.portable import Model
from core.tool import Empty, tool
from engine.approvals.rules import Rule, RuleSet
from engine.context import Ctx
from engine.identity.roles import canonical


class ApprovalRule(Model):
    """Calls that need an approval."""

    name: str = Field("", max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$", description="Why, in a few words.")
    tools: list[str] = Field([], max_length=300, description="Tools by name, for example `delete_dataset`.")
    effects: list[Literal["read", "write", "destroy"]] = Field(
        [], max_length=3, description="All tools of these effects, also later ones."
    )
    roles: list[str] = Field([], max_length=100, description="Calls of people with these roles; empty: of everybody.")
    except_roles: list[str] = Field([], max_length=100, description="But not of people with these roles.")


class SetApprovalRules(Model):
    """All rules; they replace those there were."""

    rules: list[ApprovalRule] = Field(max_length=100, description="The rules; none: nothing needs an approval.")
    expected_version: int | None = Field(None, ge=0, description="Refused unless this is their version now.")


class ApprovalRules(Model):
    """The rules of your tenant."""

    rules: list[ApprovalRule] = Field(description="The rules.")
    version: int = Field(description="Rises with every change; 0: none were ever set.")
    updated_by: str | None = Field(description="Who set them.")
    updated_at: datetime | None = Field(description="When.")


@tool("GET /approvals/rules", needs="approvals.read", effect="read")
async def get_approval_rules(ctx: Ctx, request: Empty) -> ApprovalRules:
    """Show which calls need somebody else's approval in your tenant."""
    return _show(await ctx.engine.desk.rules.of(ctx.principal.tenant))


@tool("PUT /approvals/rules", needs="tenant.manage", effect="write")
async def set_approval_rules(ctx: Ctx, request: SetApprovalRules) -> ApprovalRules:
    """Say which calls need somebody else's approval, on every face, in jobs and in schedules.

    Such a call is refused with the id of an approval that waits. Once approved, the same call of the same person
    passes once. Name `set_approval_rules` among the tools to have changes of the rules approved too."""
    rules = [
        Rule(
            item.name,
            tuple(item.tools),
            tuple(item.effects),
            tuple(canonical(role) for role in item.roles),
            tuple(canonical(role) for role in item.except_roles),
        )
        for item in request.rules
    ]
    made = await ctx.engine.desk.rules.set(ctx.principal, rules, expected_version=request.expected_version)
    return _show(made)


def _show(found: RuleSet) -> ApprovalRules:
    return ApprovalRules(
        rules=[
            ApprovalRule.model_validate(
                {
                    "name": rule.name,
                    "tools": list(rule.tools),
                    "effects": list(rule.effects),
                    "roles": list(rule.roles),
                    "except_roles": list(rule.except_roles),
                }
            )
            for rule in found.rules
        ],
        version=found.version,
        updated_by=found.updated_by or None,
        updated_at=datetime.fromtimestamp(found.updated_at, UTC) if found.version else None,
    )
