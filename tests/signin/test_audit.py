"""What the audit keeps of sign-in, and what it does not."""

from typing import Any

import httpx

from tests.faces.served import Served
from tests.signin.browser import WEB_CALLBACK, Application, Browser


def kept(house: Served, application: str) -> list[dict[str, Any]]:
    """What `search_audit` shows the tenant's administrator, oldest first."""
    admin = {"authorization": f"Bearer {house.tokens['admin']}"}
    asked = {"face": "sign-in", "resource": f"application:{application}"}
    answer = httpx.post(f"{house.url('rest')}/v1/audit/search", json=asked, headers=admin, timeout=20, verify=False)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["events"]
    return sorted(found, key=lambda record: record["seq"])


def test_every_step_of_a_sign_in_is_found_by_its_application(house: Served, browser: Browser) -> None:
    app = Application(house.url("mcp"))
    tokens = app.tokens(browser)
    renewed = app.renew(tokens["refresh_token"]).json()
    app.post("/oauth/revoke", token=renewed["refresh_token"])
    records = kept(house, app.client_id)
    assert [(record["tool"], record["user_id"], record["decision"]) for record in records] == [
        ("answer_application", "ann", "allowed"),
        ("issue_token", "ann", "allowed"),
        ("issue_token", "ann", "allowed"),
        ("end_sign_in", "ann", "allowed"),
    ]
    assert "grant:authorization_code" in records[1]["resources"]
    assert "grant:refresh_token" in records[2]["resources"]
    assert records[1]["credential_id"].startswith("session:")
    for secret in (tokens["refresh_token"], tokens["access_token"], renewed["refresh_token"]):
        assert secret not in str(records)


def test_what_went_on_by_itself_is_told_too(house: Served, browser: Browser) -> None:
    app = Application(house.url("mcp"))
    browser.walk(app.url(redirect_uri=WEB_CALLBACK))
    browser.get(app.url(redirect_uri=WEB_CALLBACK))
    assert [record["tool"] for record in kept(house, app.client_id)] == ["answer_application"] * 2


def test_a_refusal_and_a_stolen_token_are_told_in_the_tenant_concerned(house: Served, browser: Browser) -> None:
    app = Application(house.url("mcp"))
    browser.submit(browser.arrive(app.url()), "deny")
    code = browser.walk(app.url()).sent["code"]
    first = app.redeem(code).json()
    app.redeem(code)
    second = app.tokens(browser)
    app.renew(second["refresh_token"])
    app.renew(second["refresh_token"])
    refused = [record for record in kept(house, app.client_id) if record["decision"] == "refused"]
    assert [(record["tool"], record["user_id"], record["code"]) for record in refused] == [
        ("answer_application", "ann", "UNAUTHORIZED"),
        ("issue_token", "ann", "INVALID_ARGUMENT"),
        ("issue_token", "ann", "INVALID_ARGUMENT"),
    ]
    assert first["access_token"] not in str(refused)


def test_devices_are_told_and_their_waiting_is_not(house: Served) -> None:
    before = len(kept(house, "headwater-cli"))
    with Browser(house.url("rest")) as browser:
        started = browser.http.post(f"{browser.origin}/oauth/device", data={"client_id": "headwater-cli"}).json()
        poll = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": started["device_code"],
            "client_id": "headwater-cli",
        }
        assert browser.http.post(f"{browser.origin}/oauth/token", data=poll).json()["error"] == "authorization_pending"
        page = browser.arrive(f"/oauth/device?user_code={started['user_code']}")
        browser.submit(page, "allow")
        assert browser.http.post(f"{browser.origin}/oauth/token", data=poll).status_code == 200
    told = kept(house, "headwater-cli")[before:]
    assert [(record["tool"], record["user_id"]) for record in told] == [
        ("answer_device", "ann"),
        ("issue_token", "ann"),
    ]
    assert started["user_code"] not in str(told)
