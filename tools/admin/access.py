"""Trying policies, and explaining who sees what."""

from dataclasses import dataclass

from pydantic import Field

from core.context import Principal
from core.errors import NotFound, Unauthorized
from core.portable import Model
from core.tool import tool
from engine.context import Ctx
from engine.identity.roles import canonical
from engine.lake.names import TABLE_NAME
from engine.sql.plans import MAX_SQL_CHARS
from engine.sql.rulebook import TableEffect


class TestPolicy(Model):
    """Whose query to try."""

    __test__ = False

    sql: str = Field(min_length=1, max_length=MAX_SQL_CHARS, description="The query. It is not run.")
    connection_id: str = Field("lakehouse", max_length=64, description="Id of the connection; default the lakehouse.")
    user_id: str = Field("", max_length=64, description="As this user or client; empty: by roles and attributes.")
    roles: list[str] = Field([], max_length=100, description="As somebody with these roles.")
    attributes: dict[str, str] = Field({}, max_length=100, description="As somebody with these attributes.")
    agent: str | None = Field(None, max_length=64, description="As this agent acting for them.")


class AffectedTable(Model):
    """What policies change of a table."""

    table: str = Field(description="The table.")
    filters: dict[str, str] = Field(description="Row filters that hold, by policy.")
    columns: dict[str, str] = Field(description="Columns that are not public: masked, aggregate_only or hidden.")
    policies: list[str] = Field(description="The policies that say so.")


class PolicyTrial(Model):
    """How a query would be governed."""

    allowed: bool = Field(description="Whether it would be let through.")
    code: str = Field(description="Error code otherwise.")
    message: str = Field(description="What they would read otherwise.")
    hint: str = Field(description="The hint they would read otherwise.")
    sql: str = Field(description="The governed statement; the tenant's key is left out of it.")
    tables: list[AffectedTable] = Field(description="What was changed, by table.")


class ExplainAccess(Model):
    """Whose access to explain."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Name as list_tables shows it.")
    connection_id: str = Field("lakehouse", max_length=64, description="Id of the connection; default the lakehouse.")
    user_id: str = Field("", max_length=64, description="The user or client; empty: somebody without roles.")


class PolicyOnTable(Model):
    """A policy about the table."""

    policy_id: str = Field(description="Its id.")
    name: str = Field(description="What it is for.")
    concerns_user: bool = Field(description="Whether it is about this user.")


class AccessExplained(Model):
    """What somebody sees of a table, and why."""

    visible: bool = Field(description="Whether the table exists for them.")
    effect: AffectedTable = Field(description="What policies change for them.")
    policies: list[PolicyOnTable] = Field(description="All policies that are on for the table.")


@tool("POST /policies/test", needs="policies.manage", effect="read")
async def test_policy(ctx: Ctx, request: TestPolicy) -> PolicyTrial:
    """Show how somebody's query would be governed: refused or changed, and by which policies.

    Nothing is run; the answer holds the governed SQL.
    Use it after `create_policy`, as a user or as anybody with certain roles and attributes."""
    as_whom = Whom(request.user_id, frozenset(map(canonical, request.roles)), request.attributes, request.agent)
    whom = await somebody(ctx, as_whom)
    trial = await ctx.engine.rulebook.trial(ctx.principal, whom, request.connection_id, request.sql)
    error = trial.error
    return PolicyTrial(
        allowed=error is None,
        code=error.code if error else "",
        message=error.message if error else "",
        hint=error.hint if error else "",
        sql=trial.sql,
        tables=[show(effect) for effect in trial.tables],
    )


@tool("GET /catalog/access", needs="policies.manage", effect="read")
async def explain_access(ctx: Ctx, request: ExplainAccess) -> AccessExplained:
    """Explain what a user sees of a table: rows, columns, and which policies say so."""
    whom = await somebody(ctx, Whom(request.user_id, frozenset(), {}, None))
    found = await ctx.engine.rulebook.access(ctx.principal, whom, request.connection_id, request.table)
    about = [
        PolicyOnTable(policy_id=policy.policy_id, name=policy.name, concerns_user=concerns)
        for policy, concerns in found.about
    ]
    return AccessExplained(visible=found.is_visible, effect=show(found.effect), policies=about)


@dataclass(frozen=True, slots=True)
class Whom:
    """Somebody to look through the eyes of."""

    user_id: str
    roles: frozenset[str]
    attributes: dict[str, str]
    agent: str | None


async def somebody(ctx: Ctx, whom: Whom) -> Principal:
    """A principal to decide for, with no permissions of its own. Raises NotFound."""
    roles, attributes, tenant = whom.roles, whom.attributes, ctx.principal.tenant
    if whom.user_id:
        try:
            known = await ctx.engine.identity.principal_of(tenant, whom.user_id, "user")
        except Unauthorized as error:
            raise NotFound(f"No user {whom.user_id!r}.", hint="Name a living user or client of the tenant.") from error
        roles, attributes = known.roles | roles, {**known.attributes, **attributes}
    via = "user" if whom.agent is None else "agent"
    return Principal(whom.user_id, tenant, roles, via=via, credential_id=whom.agent or "", attributes=attributes)


def show(effect: TableEffect) -> AffectedTable:
    return AffectedTable(
        table=effect.table,
        filters=dict(effect.filters),
        columns=dict(effect.columns),
        policies=list(effect.policies),
    )
