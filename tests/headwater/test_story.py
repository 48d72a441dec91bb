"""Two organisations from their first day to the last, told by real people through REST, MCP and the command line.

Every role that is built in signs in and does its part. Reads are asked on all three faces, which must agree."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.tool import Tool
from headwater.local import registry
from tests.faces.clients import Answer, McpClient, RestClient
from tests.fixtures_postgres import postgres_server
from tests.headwater.processes import Server, headwater, served
from tests.signin.browser import Application, Browser

pytestmark = pytest.mark.slow
ROLES = ("viewer", "editor", "auditor", "data_engineer", "lead_data_engineer", "admin")
PASSWORD = "a long enough passphrase 1"
FACES = ("rest", "mcp", "cli")


class CliClient:
    """`headwater call` on the server."""

    def __init__(self, server: Server):
        self._server = server

    async def call(self, tool: Tool, arguments: dict[str, Any], token: str | None) -> Answer:
        where = ("--server", self._server.url, "--token", token or "", "--json")
        said = await asyncio.to_thread(headwater, "call", tool.name, json.dumps(arguments), *where)
        if said.code == 0:
            return Answer("OK", json.loads(said.out) if said.out.strip() else {})
        error = said.json()["error"]
        return Answer(error["code"], None, error["message"], error.get("hint", ""), error["request_id"])

    async def close(self) -> None:
        return None


class Story:
    """A server, and people who have signed in."""

    def __init__(self, server: Server):
        self.server = server
        self.tokens: dict[str, dict[str, str]] = {}
        self.faces: dict[str, Any] = {
            "rest": RestClient(server.ports.rest),
            "mcp": McpClient(server.ports.mcp),
            "cli": CliClient(server),
        }
        self._turns = itertools.cycle(FACES)

    def owner(self, who: str, role: str, tenant: str = "default") -> None:
        """Whoever operates the home makes a token."""
        said = headwater("token", "--home", str(self.server.home), "--role", role, "--tenant", tenant)
        assert said.code == 0, said
        self.tokens[who] = dict.fromkeys(FACES, said.out.strip())

    async def ask(self, who: str, tool: str, face: str = "", **arguments: Any) -> Answer:
        """On that face, or on whichever comes next."""
        chosen = face or next(self._turns)
        token = self.tokens[who][chosen] if who else None
        known = registry().get(tool)
        here = [route for route in known.routes if set(route.parameters) <= set(arguments)]
        shown = replace(known, routes=tuple(here or known.routes))
        found: Answer = await self.faces[chosen].call(shown, arguments, token)
        return found

    async def do(self, who: str, tool: str, face: str = "", **arguments: Any) -> Any:
        told = await self.ask(who, tool, face, **arguments)
        assert told.code == "OK", (who, tool, face, told)
        return told.value

    async def refused(self, who: str, tool: str, code: str, **arguments: Any) -> Answer:
        """On every face alike."""
        told = [await self.ask(who, tool, face, **arguments) for face in FACES]
        assert {item.code for item in told} == {code}, (who, tool, told)
        return told[0]

    async def sees(self, who: str, tool: str, **arguments: Any) -> Any:
        """What every face shows alike."""
        rest, mcp, cli = [await self.do(who, tool, face, **arguments) for face in FACES]
        assert rest == mcp == cli, (rest, mcp, cli)
        return rest

    async def join(self, who: str, link: str, tenant: str) -> None:
        """Accept an invitation, sign in on the page, and let an application act: once for the API, once for MCP."""
        account = await self.do("", "accept_invitation", "rest", link_token=link, password=PASSWORD)
        self.tokens[who] = await asyncio.to_thread(self._sign_in, account["user_id"], tenant)

    def _sign_in(self, login: str, tenant: str) -> dict[str, str]:
        app = Application(f"http://127.0.0.1:{self.server.ports.mcp}")
        with Browser(app.origin) as browser:
            page = browser.get("/auth/sign-in")
            browser.submit(page, "in", tenant=tenant, login=login, password=PASSWORD)
            api = app.tokens(browser, login, resource=app.origin)["access_token"]
            mcp = app.tokens(browser, login)["access_token"]
        return {"rest": api, "cli": api, "mcp": mcp}

    async def close(self) -> None:
        for face in self.faces.values():
            await face.close()


@asynccontextmanager
async def opened(home: Path, kind: str) -> AsyncIterator[Story]:
    environment = {"HEADWATER_AUTH__GUESSES_PER_MINUTE": "1000"}
    if kind == "postgres":
        postgres = postgres_server()
        environment["HEADWATER_STORE__URL"] = postgres.url(postgres.create())
    with served(home, **environment) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        story = Story(server)
        yield story
        await story.close()


async def found_tenants(story: Story) -> None:
    """Two organisations are made, and their first administrators come by invitation."""
    story.owner("root", "super_admin")
    for tenant, admin in (("acme", "ann"), ("bolt", "bob")):
        made = await story.do(
            "root",
            "create_tenant",
            name=tenant.title(),
            tenant_id=tenant,
            tier="enterprise",
            admin_email=f"{admin}@{tenant}.org",
            admin_name=admin.title(),
        )
        await story.join(admin, made["invitation_token"], tenant)
        me = await story.sees(admin, "get_current_user")
        assert (me["tenant_id"], me["role"], me["via"]) == (tenant, "Org admin", "user")
    await story.refused("ann", "create_tenant", "UNAUTHORIZED", name="Mine")
    await story.refused("ann", "get_tenant", "NOT_FOUND", tenant_id="bolt")
    assert [item["id"] for item in (await story.sees("ann", "list_tenants"))["tenants"]] == ["acme"]


async def meet_the_people(story: Story) -> None:
    """Somebody of every built-in role, and what each may not do."""
    for role in ROLES:
        story.owner(f"acme-{role}", role, "acme")
    invited = await story.do("ann", "invite_user", email="eve@acme.org", name="Eve", role="Dataset editor")
    await story.join("eve", invited["invitation_token"], "acme")
    for role, tool, arguments in (
        ("viewer", "create_project", {"name": "Mine"}),
        ("editor", "search_audit", {}),
        ("auditor", "execute_query", {"sql": "SELECT 1 AS n"}),
        ("data_engineer", "list_users", {}),
        ("lead_data_engineer", "create_policy", {"name": "x", "kind": "column", "tag": "x"}),
        ("admin", "suspend_tenant", {"tenant_id": "bolt", "reason": "x"}),
    ):
        told = await story.refused(f"acme-{role}", tool, "UNAUTHORIZED", **arguments)
        assert "permission" in told.message
    for role, tool, arguments in (
        ("viewer", "list_lakehouse_tables", {}),
        ("editor", "list_projects", {}),
        ("auditor", "get_tenant_usage", {}),
        ("data_engineer", "list_connections", {}),
        ("lead_data_engineer", "list_approvals", {}),
        ("admin", "list_roles", {}),
    ):
        await story.do(f"acme-{role}", tool, **arguments)
    root = await story.sees("root", "get_current_user")
    assert root["role"] == "super_admin" and "platform.tenants" in root["permissions"]


async def share_a_dataset(story: Story) -> str:
    """The editor of one asks, the administrator of the other agrees; the guest reads it under the owner's policies."""
    story.owner("bolt-editor", "editor", "bolt")
    await story.do("bob", "create_project", name="Numbers", project_id="numbers")
    dataset = await story.do("bob", "create_dataset", name="sales", project_id="numbers")
    columns = [{"name": "id", "type": "bigint"}, {"name": "who", "type": "string"}]
    table = await story.do("bob", "create_managed_table", name="orders", dataset_id=dataset["id"], schema=columns)
    assert table["name"] == "orders"
    rows = [{"id": number, "who": f"canary-{number}"} for number in range(1, 6)]
    await story.do("bolt-editor", "insert_records", table="sales.orders", records=rows)
    hidden: dict[str, Any] = {"kind": "column", "table": "sales.orders", "columns": ["who"], "privacy": "hidden"}
    await story.do("bob", "create_policy", name="who", except_for={"roles": ["admin"]}, **hidden)
    await story.do("eve", "create_project", name="Atlas", project_id="atlas")
    asked = await story.do("eve", "request_project_dataset", project_id="atlas", dataset_id=dataset["id"])
    nothing = await story.do("eve", "request_project_dataset", project_id="atlas", dataset_id="no-such-thing")
    assert (
        asked["status"] == nothing["status"] == "pending" and asked["dataset_name"] is nothing["dataset_name"] is None
    )
    await story.refused("eve", "approve_request", "UNAUTHORIZED", approval_id=asked["id"])
    await story.refused("ann", "approve_request", "UNAUTHORIZED", approval_id=asked["id"])
    waiting = (await story.sees("bob", "list_pending_approvals"))["project_dataset_approvals"]
    assert [item["id"] for item in waiting] == [asked["id"]] and waiting[0]["requester_email"] == "eve@acme.org"
    await story.do("bob", "approve_request", "mcp", approval_id=asked["id"])
    await story.refused("bob", "reject_request", "CONFLICT", approval_id=asked["id"], reason="too late")
    [share] = (await story.sees("eve", "list_shares"))["shares"]
    for face in FACES:
        sql = {"sql": "SELECT * FROM sales.orders ORDER BY id", "connection_id": share["id"]}
        told = await story.do("eve", "execute_query", face, **sql)
        assert [row["id"] for row in told["data"]] == [1, 2, 3, 4, 5] and "canary" not in json.dumps(told), told
    await story.refused(
        "eve", "execute_query", "QUERY_UNAUTHORIZED", sql="SELECT who FROM sales.orders", connection_id=share["id"]
    )
    return str(share["id"])


async def end_the_share(story: Story, share: str) -> None:
    await story.refused("eve", "revoke_share", "UNAUTHORIZED", share_id=share)
    story.owner("root-tenant-admin", "admin")
    await story.refused("root-tenant-admin", "revoke_share", "NOT_FOUND", share_id=share)
    await story.do("bob", "revoke_share", "rest", share_id=share)
    await story.refused("eve", "execute_query", "NOT_FOUND", sql="SELECT 1 AS n", connection_id=share)
    assert (await story.sees("eve", "list_shares"))["shares"] == []


async def ask_for_access(story: Story) -> None:
    """A column is hidden from a viewer, who asks, is granted it for an hour, and sees it."""
    story.owner("bolt-viewer", "viewer", "bolt")
    who = {"sql": "SELECT who FROM sales.orders WHERE id = 1"}
    await story.refused("bolt-viewer", "execute_query", "QUERY_UNAUTHORIZED", **who)
    asked = await story.do(
        "bolt-viewer", "request_access", table="sales.orders", columns=["who"], hours=1, reason="Why?"
    )
    await story.do("bob", "approve_request", approval_id=asked["id"])
    assert (await story.do("bolt-viewer", "execute_query", "rest", **who))["data"] == [{"who": "canary-1"}]
    [policy] = [item for item in (await story.sees("bob", "list_policies"))["policies"] if item["expires_at"]]
    assert policy["applies_to"]["users"] == ["viewer"]
    explained = await story.sees("bob", "explain_access", table="sales.orders", user_id="viewer")
    assert explained["visible"] and [item["concerns_user"] for item in explained["policies"]].count(True) >= 1


async def approve_what_destroys(story: Story) -> None:
    """A rule holds a destructive call back until somebody else has agreed to just that call."""
    await story.do("ann", "set_approval_rules", rules=[{"name": "careful", "effects": ["destroy"]}])
    await story.do("eve", "create_project", name="Old", project_id="old")
    await asyncio.sleep(2.1)  # rules are at most two seconds old
    told = await story.refused("eve", "delete_project", "UNAUTHORIZED", project_id="old")
    [asked] = (await story.sees("ann", "list_pending_approvals"))["other_approvals"]
    assert asked["id"] in told.message and asked["tool"] == "delete_project"
    await story.do("ann", "approve_request", approval_id=asked["id"])
    await story.do("eve", "delete_project", project_id="old")
    await story.refused("eve", "get_project", "NOT_FOUND", project_id="old")
    assert (await story.do("eve", "restore_project", project_id="old"))["name"] == "Old"
    await story.refused("eve", "delete_project", "UNAUTHORIZED", project_id="old")  # used up
    await story.do("ann", "set_approval_rules", rules=[])


async def exceed_a_quota(story: Story) -> None:
    limits = [{"metric": "requests", "scope": "user", "scope_id": "viewer", "span": "day", "hard": "0"}]
    await story.do("root", "set_query_quota", tenant_id="bolt", daily_limit_usd="0", limits=limits)
    await asyncio.sleep(2.1)
    refused = await story.refused("bolt-editor", "execute_query", "QUOTA_EXCEEDED", sql="SELECT id FROM sales.orders")
    assert "0.00 USD" in refused.message and "It renews at 20" in refused.hint, refused
    await story.refused("bolt-viewer", "list_projects", "QUOTA_EXCEEDED")
    shown = await story.sees("bob", "get_query_quota")
    assert shown["is_daily_quota_exceeded"] and shown["quota"]["daily_limit_usd"] in ("0", "0.00")
    assert (await story.sees("bob", "get_current_user"))["limits"]["quotas"][0]["metric"] == "query_usd"
    await story.do("root", "set_query_quota", tenant_id="bolt", limits=[])
    await asyncio.sleep(2.1)
    await story.do("bolt-viewer", "list_projects")


async def leave_in_the_middle(story: Story) -> None:
    """Eve is locked out while a result streams to her; it ends, and so does all that she has."""
    url, token = story.server.url, story.tokens["eve"]["rest"]
    pairs = " CROSS JOIN ".join(f"range(1000) t{number}(i)" for number in range(3))
    body = {"sql": f"SELECT t0.i AS a, t1.i AS b FROM {pairs}"}
    await story.do("eve", "create_dataset", name="big", project_id="atlas")
    await story.do("eve", "create_managed_table", name="n", dataset_id=await dataset_id(story), schema=NUMBERS)
    await story.do("eve", "insert_records", table="big.n", records=[{"i": number} for number in range(400)])
    body = {"sql": "SELECT a.i, b.i AS j, c.i AS k, d.i AS l FROM big.n a, big.n b, big.n c, big.n d"}
    headers = {"authorization": f"Bearer {token}", "accept": "application/vnd.apache.arrow.stream"}
    size = 0
    async with httpx.AsyncClient(timeout=30) as client:
        with pytest.raises(httpx.HTTPError):
            async with client.stream("POST", f"{url}/v1/query/stream", json=body, headers=headers) as answer:
                assert answer.status_code == 200, await answer.aread()
                locked = None
                async for chunk in answer.aiter_bytes():
                    size += len(chunk)
                    if locked is None and size > 100_000:
                        locked = asyncio.create_task(
                            story.do("ann", "deactivate_user", "rest", user_id=await eve(story))
                        )
                assert not locked, "the stream ended as if nothing had happened"
    assert size < 2**30
    await asyncio.sleep(2)
    await story.refused("eve", "get_current_user", "UNAUTHENTICATED")
    await story.do("ann", "delete_user", "rest", user_id=await eve(story))
    assert "eve@acme.org" not in json.dumps(await story.sees("ann", "list_users"))
    restored = await story.do("ann", "restore_user", user_id=EVE[0])
    assert restored["email"] == "eve@acme.org"
    await story.refused("eve", "get_current_user", "UNAUTHENTICATED")  # her sessions ended with her


NUMBERS = [{"name": "i", "type": "bigint"}]
EVE: list[str] = []


async def eve(story: Story) -> str:
    users = (await story.do("ann", "list_users", "rest"))["users"]
    EVE[:] = [user["id"] for user in users if user["email"] == "eve@acme.org"]
    return EVE[0]


async def dataset_id(story: Story) -> str:
    found = (await story.do("eve", "list_datasets", "rest"))["datasets"]
    return str(next(item["id"] for item in found if item["name"] == "big"))


async def look_back(story: Story) -> None:
    """What was done by whom, for the auditor alone."""
    story.owner("bolt-auditor", "auditor", "bolt")
    found = (await story.do("bolt-auditor", "search_audit", table="sales.orders", page_size=100))["events"]
    assert {"create_policy", "insert_records"} & {event["tool"] for event in found}
    refused = (await story.do("bolt-auditor", "search_audit", decision="refused"))["events"]
    assert {"execute_query"} <= {event["tool"] for event in refused}
    assert "canary" not in json.dumps([found, refused])
    assert (await story.do("bolt-auditor", "verify_audit_log"))["is_valid"]


async def end_of_a_tenant(story: Story) -> None:
    """Suspended, resumed, archived, restored, archived and purged."""
    await story.refused("bob", "suspend_tenant", "UNAUTHORIZED", tenant_id="bolt", reason="x")
    await story.do("root", "suspend_tenant", tenant_id="bolt", reason="Unpaid.")
    await asyncio.sleep(2)
    await story.refused("bob", "get_current_user", "UNAUTHENTICATED")
    await story.do("root", "resume_tenant", tenant_id="bolt")
    await asyncio.sleep(1)
    await story.do("bob", "get_current_user")
    await story.do("root", "delete_tenant", "rest", tenant_id="bolt")
    await asyncio.sleep(2)
    await story.refused("bob", "get_current_user", "UNAUTHENTICATED")
    await story.do("root", "restore_tenant", tenant_id="bolt")
    await asyncio.sleep(1)
    await story.do("bob", "list_datasets")
    await story.do("root", "delete_tenant", "cli", tenant_id="bolt")
    await story.refused("root", "purge_tenant", "CONFLICT", tenant_id="bolt", confirm="acme")
    purged = await story.do("root", "purge_tenant", "rest", tenant_id="bolt", confirm="bolt")
    assert purged["row_count"] > 10 and purged["is_key_shredded"]
    await story.refused("root", "restore_tenant", "CONFLICT", tenant_id="bolt")
    left = [path for path in story.server.home.rglob("*") if path.is_file() and b"canary-" in path.read_bytes()]
    assert left == []


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_two_organisations_from_their_first_day_to_the_last(tmp_path: Path, kind: str) -> None:
    async with opened(tmp_path / "home", kind) as story:
        await found_tenants(story)
        await meet_the_people(story)
        share = await share_a_dataset(story)
        await ask_for_access(story)
        await end_the_share(story, share)
        await approve_what_destroys(story)
        await exceed_a_quota(story)
        await leave_in_the_middle(story)
        await look_back(story)
        await end_of_a_tenant(story)
