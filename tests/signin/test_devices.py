"""`headwater login`, and what a device can not do."""

import asyncio
import json
import re
import time
from pathlib import Path

import httpx
import pytest

from core.settings import Settings
from headwater.declared.apply import asking
from headwater.login import read_logins, sign_in, sign_out, stored_token
from tests.faces.served import Served
from tests.headwater.processes import headwater
from tests.signin.browser import Browser

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


async def logged_in(house: Served, file: Path, button: str = "allow") -> None:
    """Run the command's work, and answer what it shows in a browser."""
    server, told = house.url("rest"), asyncio.Queue[str]()

    def answer(text: str) -> None:
        found = re.search(r"\S+user_code=(\S+)", text)
        assert found
        with Browser(server) as browser:
            page = browser.sign_in(browser.get(found[0]))
            assert found[1] in page.text
            assert browser.submit(page, button).status == 200

    waiting = asyncio.create_task(sign_in(server, told.put_nowait, file=file))
    await asyncio.to_thread(answer, await told.get())
    await waiting


async def test_login_keeps_tokens_that_commands_use_and_renew(
    house: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, server = tmp_path / "headwater" / "logins.json", house.url("rest")
    await logged_in(house, file)
    assert file.stat().st_mode & 0o777 == 0o600
    said = headwater("get-current-user", "--server", server, "--json", XDG_CONFIG_HOME=str(tmp_path))
    assert said.json()["id"] == "ann", said
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    async with asking(Settings(), server, None) as ask:  # as `headwater apply` and `export` do
        assert (await ask("get_current_user", {}))["id"] == "ann"
    kept = read_logins(file)
    kept[server]["until"] = time.time()
    file.write_text(json.dumps(kept))
    assert await stored_token(server, file=file) == read_logins(file)[server]["access_token"]
    assert read_logins(file)[server]["refresh_token"] != kept[server]["refresh_token"]
    token = read_logins(file)[server]["access_token"]
    assert await sign_out(server, file=file)
    assert read_logins(file) == {}
    bearer = {"authorization": f"Bearer {token}"}
    assert httpx.get(f"{server}/v1/connections", headers=bearer, timeout=20, verify=False).status_code == 401


def test_a_device_code_is_slow_single_and_its_own(house: Served) -> None:
    origin = house.url("rest")

    def post(path: str, **form: str) -> httpx.Response:
        return httpx.post(f"{origin}{path}", data=form, timeout=20, verify=False)

    started = post("/oauth/device", client_id="headwater-cli").json()
    ask = {"grant_type": GRANT, "device_code": started["device_code"], "client_id": "headwater-cli"}
    assert post("/oauth/token", **ask).json()["error"] == "authorization_pending"
    assert post("/oauth/token", **ask).json()["error"] == "slow_down"
    assert post("/oauth/token", **(ask | {"device_code": "hwd_x"})).json()["error"] == "invalid_grant"
    with Browser(origin) as browser:
        page = browser.sign_in(browser.get(f"/oauth/device?user_code={started['user_code']}"))
        browser.submit(page, "deny")
        assert browser.submit(page, "allow").status == 404  # an answer is an answer
    assert post("/oauth/token", **ask).json()["error"] == "access_denied"
    assert post("/oauth/token", **ask).json()["error"] == "invalid_grant"


def test_an_unknown_code_shows_nothing(house: Served) -> None:
    with Browser(house.url("rest")) as browser:
        page = browser.arrive("/oauth/device?user_code=BBBB-BBBB")
        assert page.status == 404
