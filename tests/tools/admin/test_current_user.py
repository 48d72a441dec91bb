"""Who am I."""

from decimal import Decimal
from pathlib import Path

from engine.usage.limits import Limit
from tests.tools.admin.desk import opened_desk


async def test_a_user_sees_itself_with_tenant_roles_and_permissions(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        await desk.identity.directory.create_user(
            "default", user_id="ann", email="ann@example.com", name="Ann", roles=["editor", "auditor"]
        )
        me = await desk.call("get_current_user", await desk.identity.mint(subject="ann"))
    assert (me.id, me.email, me.name, me.role) == ("ann", "ann@example.com", "Ann", "auditor")
    assert (me.tenant_id, me.tenant, me.identity_provider_id) == ("default", "default", None)
    assert me.roles == ["auditor", "editor"] and {"records.write", "audit.read"} <= set(me.permissions)
    assert me.created_at is not None


async def test_a_client_sees_itself(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        made = await desk.identity.directory.create_client("default", client_id="cron", roles=["viewer"])
        issued = await desk.identity.issue_token(made.client_id, made.client_secret)
        me = await desk.call("get_current_user", issued.access_token)
    assert (me.id, me.name, me.email, me.role, me.via) == ("cron", "cron", "", "Dataset user", "client")


async def test_a_client_of_the_file_sees_itself(tmp_path: Path) -> None:
    (tmp_path / "auth_clients.yml").write_text("clients: {reporting: hush}")
    async with opened_desk(tmp_path) as desk:
        issued = await desk.identity.issue_token("reporting", "hush")
        me = await desk.call("get_current_user", issued.access_token)
    assert (me.id, me.role, me.created_at) == ("reporting", "Dataset editor", None)


async def test_everybody_sees_the_limits_that_bind_them(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        people = desk.identity.directory
        await people.create_tenant("Small", tenant_id="small", tier="free")
        for user, role in (("vic", "viewer"), ("ann", "admin")):
            await people.create_user("small", user_id=user, roles=[role])
        others = [Limit("user", "*", "requests", "day", None, 9), Limit("user", "ann", "model_tokens", "day", None, 7)]
        others += [
            Limit("project", "*", "rows_scanned", "day", None, 5),
            Limit("tenant", "", "requests", "day", 3, None),
        ]
        await desk.usage.set_quota("small", daily_usd=Decimal(2), monthly_usd=None, others=others)
        vic, ann = [
            (await desk.call("get_current_user", await desk.identity.mint(subject=user, tenant="small"))).limits
            for user in ("vic", "ann")
        ]
    assert (vic.tier_requests_per_minute, vic.tier_concurrent_queries) == (60, 5)
    assert [(item.metric, item.scope, item.hard, item.used) for item in vic.quotas] == [
        ("query_usd", "tenant", 2, None),  # what all use together is for those who read the tenant
        ("requests", "user", 9, 0),
    ]
    assert [(item.metric, item.scope, item.used) for item in ann.quotas] == [
        ("query_usd", "tenant", 0),
        ("model_tokens", "user", 0),
        ("requests", "user", 0),
    ]
