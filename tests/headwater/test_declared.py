"""A tenant as a file: planned first, applied through the tools, equal when applied again, written back."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from headwater.commands import cli
from headwater.declared.kinds import kinds
from headwater.local import registry

FILE: dict[str, Any] = {
    "tenant": {"name": "Acme", "configuration": {"invitation_days": 3, "retention": {"audit_days": 400}}},
    "roles": [{"role": "analyst", "permissions": ["catalog.read", "query.run"], "description": "Reads."}],
    "users": [
        {
            "user_id": "ann",
            "email": "ann@example.com",
            "name": "Ann",
            "roles": ["analyst"],
            "attributes": {"region": "eu"},
        },
        {"user_id": "admin"},
    ],
    "clients": [{"client_id": "robot", "name": "Robot", "roles": ["viewer"]}],
    "projects": [{"project_id": "shop", "name": "Shop", "description": "Sells."}],
    "connections": [{"connection_id": "side", "name": "Side", "kind": "sqlite", "options": {"path": "${SIDE_PATH}"}}],
    "policies": [
        {
            "policy_id": "mail",
            "name": "Mail",
            "kind": "column",
            "tag": "pii",
            "privacy": "hidden",
            "applies_to": {"roles": ["analyst"]},
        }
    ],
    "models": [
        {"name": "small", "model": "openai/qwen", "api_base": "https://api.openai.com/v1", "api_key": "sk-canary"}
    ],
    "default_model": "small",
    "semantic_models": [
        {
            "name": "orders",
            "table": "t",
            "connection_id": "side",
            "entities": [{"name": "order", "type": "primary", "expr": "id"}],
            "dimensions": [{"name": "day", "type": "time", "expr": "at", "time_granularity": "day"}],
            "measures": [{"name": "total", "agg": "sum", "expr": "amount"}],
            "agg_time_dimension": "day",
        }
    ],
    "metrics": [{"name": "revenue", "kind": "simple", "type_params": {"measure": "total"}, "connection_id": "side"}],
    "agents": [
        {
            "agent_id": "seller",
            "name": "Seller",
            "system_prompt": "You sell.",
            "capabilities": ["query"],
            "budget": {"max_steps": 3},
        },
        {
            "agent_id": "theirs",
            "name": "Theirs",
            "protocol": "A2A",
            "endpoint_url": "https://agents.example.com/a2a",
            "project_id": "shop",
            "role": "helper",
        },
    ],
    "approval_rules": [{"name": "careful", "effects": ["destroy"], "except_roles": ["super_admin"]}],
    "quota": {"daily_limit_usd": "5", "limits": [{"metric": "requests", "hard": 1000}]},
}


class Desk:
    """One home, and a file beside it."""

    def __init__(self, folder: Path):
        self.home, self.path = folder / "home", folder / "tenant.yaml"
        self.home.mkdir()
        data = folder / "data"
        data.mkdir()
        (self.home / "headwater.toml").write_text(f"[query]\nallowed_roots = ['{data}']\n")
        with sqlite3.connect(data / "side.sqlite") as side:
            side.execute("CREATE TABLE t (id INTEGER, amount INTEGER, at DATE)")
        self.env = {"SIDE_PATH": str(data / "side.sqlite")}
        self.write(FILE)

    def sign_in(self) -> None:
        """Quotas are set by those who look after all tenants."""
        made = CliRunner().invoke(cli, ["token", "--role", "super_admin", "--home", str(self.home)])
        self.env["HEADWATER_TOKEN"] = made.stdout.strip()

    def write(self, declared: Any) -> None:
        self.path.write_text(yaml.safe_dump(declared))

    def apply(self, *options: str) -> Result:
        arguments = ["apply", "-f", str(self.path), "--home", str(self.home), *options]
        return CliRunner().invoke(cli, arguments, env=self.env)

    def export(self) -> dict[str, Any]:
        told = CliRunner().invoke(cli, ["export", "--home", str(self.home)], env=self.env)
        assert told.exit_code == 0, told.output
        found: dict[str, Any] = yaml.safe_load(told.stdout)
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_file_is_planned_applied_equal_afterwards_and_written_back(desk: Desk) -> None:
    desk.sign_in()
    planned = desk.apply("--plan")
    assert planned.exit_code == 2 and "+ role analyst" in planned.output and "+ policy mail" in planned.output, (
        planned.output
    )
    applied = desk.apply("--yes")
    assert applied.exit_code == 0 and "its secret, shown once: hws_" in applied.output, applied.output
    again = desk.apply("--plan")
    assert "0 to do" in again.output, again.output
    written = desk.export()
    assert written["roles"] == [
        {"role": "analyst", "permissions": ["catalog.read", "query.run"], "description": "Reads."}
    ]
    assert written["tenant"]["name"] == "Acme" and written["quota"]["daily_limit_usd"] == "5.00"
    assert "hws_" not in yaml.safe_dump(written) and "sk-canary" not in yaml.safe_dump(written)
    assert written["tenant"]["configuration"] == FILE["tenant"]["configuration"]
    assert written["approval_rules"] == FILE["approval_rules"] and written["default_model"] == "small"
    assert {name: written["agents"][1][name] for name in FILE["agents"][1]} == FILE["agents"][1]
    assert {name: written["agents"][0][name] for name in FILE["agents"][0]} == FILE["agents"][0]
    desk.write(written)
    assert "0 to do" in desk.apply("--plan").output


def test_what_was_changed_beside_the_file_is_shown_and_put_right(desk: Desk) -> None:
    desk.sign_in()
    assert desk.apply("--yes").exit_code == 0
    other = {**FILE, "roles": [{**FILE["roles"][0], "permissions": ["catalog.read"]}], "clients": []}
    desk.write(other)
    planned = desk.apply("--plan")
    assert "~ role analyst: permissions" in planned.output and "? client robot" in planned.output, planned.output
    assert desk.apply("--yes", "--prune").exit_code == 0
    assert desk.export()["clients"] == []
    assert "0 to do" in desk.apply("--plan", "--prune").output


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ([], "not a mapping"),
        ({"role": []}, "No section"),
        ({"roles": [{"role": "a b"}]}, "of its own"),
        ({"roles": [{"role": "a"}, {"role": "a"}]}, "of its own"),
        ({"roles": [{"role": "a", "permission": []}]}, "has no 'permission'"),
        (
            {
                "connections": [
                    {"connection_id": "x", "name": "x", "kind": "sqlite", "options": {"path": "${NOT_SET_HERE}"}}
                ]
            },
            "not set",
        ),
    ],
)
def test_a_file_with_a_mistake_changes_nothing(desk: Desk, declared: Any, told: str) -> None:
    desk.write(declared)
    refused = desk.apply("--yes")
    assert refused.exit_code != 0 and told in refused.output, refused.output


def test_what_cannot_be_changed_is_said_before_anything_is_done(desk: Desk) -> None:
    desk.sign_in()
    assert desk.apply("--yes").exit_code == 0
    desk.write({**FILE, "tenant": {"name": "Other"}, "policies": [{**FILE["policies"][0], "tag": "other"}]})
    refused = desk.apply("--yes")
    assert refused.exit_code != 0 and "cannot be changed" in refused.output
    assert desk.export()["tenant"]["name"] == "Acme"


def test_each_kind_follows_its_file(desk: Desk) -> None:
    desk.sign_in()
    assert desk.apply("--yes").exit_code == 0
    seller, theirs = FILE["agents"]
    changed = {
        "tenant": {"configuration": {"retention": {"audit_days": 90}}},
        "clients": [{**FILE["clients"][0], "roles": ["editor"]}],
        "projects": [*FILE["projects"], {"project_id": "lab", "name": "Lab"}],
        "models": [{**FILE["models"][0], "timeout_s": 5}],
        "metrics": [{**FILE["metrics"][0], "label": "Revenue"}],
        "agents": [
            {**seller, "system_prompt": "You buy.", "budget": {"max_steps": 4}},
            {**theirs, "project_id": "lab"},
        ],
        "approval_rules": [],
        "default_model": "",
    }
    desk.write(changed)
    planned = desk.apply("--plan").output.splitlines()
    assert planned[:-1] == [
        "~ tenant: configuration",
        "~ client robot: roles",
        "+ project lab",
        "~ model small: timeout_s",
        "~ metric revenue: label",
        "~ agent seller: system_prompt, budget",
        "~ agent theirs: project_id",
        "~ default model: name",
        "~ approval rules: rules",
    ]
    applied = desk.apply("--yes")
    assert applied.exit_code == 0, applied.output
    assert "0 to do" in desk.apply("--plan").output
    assert desk.export()["tenant"]["configuration"] == {"invitation_days": 3, "retention": {"audit_days": 90}}


def test_every_section_takes_what_its_tools_take() -> None:
    for kind in kinds():
        made = registry().get(kind.create).request.model_fields
        assert kind.id in made and {*kind.fields, *kind.fixed} <= set(made), kind.section
        assert {*kind.left_out, *kind.once, *kind.secrets} <= set(made), kind.section
        for tool in (kind.update, kind.delete):
            assert kind.ref in registry().get(tool).request.model_fields, kind.section
        assert kind.shown_in in registry().get(kind.listing).result.model_fields, kind.section
    assert "system_prompt" in next(kind for kind in kinds() if kind.section == "agents").fields
