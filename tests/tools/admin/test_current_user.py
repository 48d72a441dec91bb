"""Who am I."""

from pathlib import Path

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
