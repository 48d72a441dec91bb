"""A tenant as a file: planned first, applied through the tools, equal when applied again, written back."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from headwater.commands import cli

FILE: dict[str, Any] = {
    "tenant": {"name": "Acme"},
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
            side.execute("CREATE TABLE t (id INTEGER)")
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
    assert "hws_" not in yaml.safe_dump(written)
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
    desk.write({**FILE, "tenant": {"name": "Other"}, "clients": [{**FILE["clients"][0], "roles": ["admin"]}]})
    refused = desk.apply("--yes")
    assert refused.exit_code != 0 and "cannot be changed" in refused.output
    assert desk.export()["tenant"]["name"] == "Acme"
