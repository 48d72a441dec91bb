"""What must not work."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import httpx
import pytest

from tests.faces.served import Served
from tests.signin.browser import CALLBACK, WEB_CALLBACK, Application, Browser


@pytest.fixture(scope="session")
def app(house: Served) -> Application:
    return Application(house.url("mcp"))


def opens(house: Served, token: str, face: str) -> int:
    bearer = {"authorization": f"Bearer {token}"}
    if face == "mcp":
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        more = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        return httpx.post(
            f"{house.url('mcp')}/mcp", json=body, headers=bearer | more, timeout=20, verify=False
        ).status_code
    return httpx.get(f"{house.url('rest')}{face}", headers=bearer, timeout=20, verify=False).status_code


def claims(token: str) -> dict[str, Any]:
    middle = token.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return found


def test_a_token_for_mcp_opens_mcp_alone(house: Served, app: Application, browser: Browser) -> None:
    token = app.tokens(browser)["access_token"]
    assert f"{app.origin}/mcp" in claims(token)["aud"]
    assert opens(house, token, "mcp") == 200
    for path in ("/v1/connections", "/api/connections", "/scim/v2/Users", "/iceberg/v1/config"):
        assert opens(house, token, path) == 401, path


def test_a_token_for_the_api_does_not_open_mcp(house: Served, app: Application, browser: Browser) -> None:
    token = app.tokens(browser, resource=app.origin)["access_token"]
    assert opens(house, token, "mcp") == 401
    assert opens(house, token, "/v1/connections") == 200


def test_a_token_for_one_address_of_mcp_opens_that_alone(house: Served, browser: Browser) -> None:
    app = Application(house.url("mcp"))
    paths = ["mcp", "mcp/agents/one", "mcp/agents/two", "mcp/projects/one", "a2a/one"]
    for path in paths:
        described = httpx.get(f"{app.origin}/.well-known/oauth-protected-resource/{path}", timeout=20, verify=False)
        assert described.json()["resource"] == f"{app.origin}/{path}"
        token = app.tokens(browser, resource=f"{app.origin}/{path}")["access_token"]
        let_in = [other for other in paths if is_let_in(house, token, other)]
        assert let_in == [path], path
        assert opens(house, token, "/v1/connections") == 401
    token = app.tokens(browser, resource=app.origin)["access_token"]
    assert [path for path in paths if is_let_in(house, token, path)] == ["a2a/one"]  # a part of the API


def is_let_in(house: Served, token: str, path: str) -> bool:
    """Whether the token counts there, whatever else is missing."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    headers = {"authorization": f"Bearer {token}", "accept": "application/json, text/event-stream"}
    more = {"mcp-protocol-version": "2025-11-25"}
    url = f"{house.url('mcp')}/{path}"
    return httpx.post(url, json=body, headers=headers | more, timeout=20, verify=False).status_code != 401


def test_a_refused_token_runs_no_tool_at_another_address(house: Served, app: Application, browser: Browser) -> None:
    token = app.tokens(browser)["access_token"]
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_current_user", "arguments": {}}}
    headers = {"authorization": f"Bearer {token}", "accept": "application/json, text/event-stream"}
    for path in ("mcp/projects/one", "mcp/projects/one/", "mcp/agents/one"):
        answer = httpx.post(f"{house.url('mcp')}/{path}", json=call, headers=headers, timeout=20, verify=False)
        assert answer.status_code == 401, answer.text
        assert "ann" not in answer.text


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": CALLBACK + "/more"},
        {"redirect_uri": CALLBACK + "?x=1"},
        {"redirect_uri": CALLBACK.replace("127.0.0.1", "localhost")},
        {"redirect_uri": CALLBACK.replace("http", "https")},
        {"redirect_uri": "http://127.0.0.1:33418@evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1.evil.example/callback"},
        {"redirect_uri": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": ""},
        {"code_challenge": ""},
        {"code_challenge": "short"},
        {"response_type": "token"},
        {"response_mode": "fragment"},
        {"request_uri": "https://evil.example/request"},
        {"client_id": "hwa_unknown"},
        {"client_id": "https://user@evil.example/app"},
        {"scope": "catalog.read everything"},
        {"resource": "https://other.example/mcp"},
        {"resource": "http://127.0.0.1:1/mcp"},
    ],
)
def test_a_wrong_request_is_told_and_sends_nobody_anywhere(
    app: Application, browser: Browser, changes: dict[str, str]
) -> None:
    page = browser.arrive(app.url(**changes))
    assert page.url.startswith(app.origin)
    assert page.status in (400, 401), page.text
    assert "Allow access" not in page.text


def test_the_port_of_a_redirect_to_this_machine_is_free(app: Application, browser: Browser) -> None:
    page = browser.walk(app.url(redirect_uri=CALLBACK.replace("33418", "40001")))
    assert page.url.startswith("http://127.0.0.1:40001/callback?code=")


def test_a_code_works_once_and_its_second_use_ends_what_it_opened(
    house: Served, app: Application, browser: Browser
) -> None:
    code = browser.walk(app.url()).sent["code"]
    tokens = app.redeem(code).json()
    assert opens(house, tokens["access_token"], "mcp") == 200
    assert app.redeem(code).json()["error"] == "invalid_grant"
    assert opens(house, tokens["access_token"], "mcp") == 401
    assert app.renew(tokens["refresh_token"]).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 64},
        {"code_verifier": ""},
        {"redirect_uri": CALLBACK + "x"},
        {"client_id": "headwater-cli"},
        {"resource": "http://127.0.0.1/other"},
    ],
)
def test_a_code_without_its_proof_gives_nothing(app: Application, browser: Browser, changes: dict[str, str]) -> None:
    code = browser.walk(app.url()).sent["code"]
    assert app.redeem(code, **changes).json()["error"] == "invalid_grant"
    if "client_id" not in changes:
        assert app.redeem(code).json()["error"] == "invalid_grant"  # it is used up


def test_a_refresh_token_works_once_and_its_second_use_ends_the_family(
    house: Served, app: Application, browser: Browser
) -> None:
    first = app.tokens(browser)
    second = app.renew(first["refresh_token"]).json()
    assert opens(house, second["access_token"], "mcp") == 200
    assert app.renew(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert app.renew(second["refresh_token"]).json()["error"] == "invalid_grant"
    assert opens(house, second["access_token"], "mcp") == 401


def test_a_refresh_token_is_bound_to_its_application_and_resource(app: Application, browser: Browser) -> None:
    refresh = app.tokens(browser)["refresh_token"]
    other = Application(app.origin)
    assert other.renew(refresh).json()["error"] == "invalid_grant"
    assert app.renew(refresh, resource=app.origin).json()["error"] == "invalid_target"
    assert app.renew(refresh, scope="users.manage").json()["error"] == "invalid_scope"
    assert app.renew(refresh).status_code == 200


def test_consent_is_asked_for_each_application_redirect_scope_and_resource(house: Served, browser: Browser) -> None:
    app, other = Application(house.url("mcp")), Application(house.url("mcp"), redirect_uris=[WEB_CALLBACK + "2"])
    browser.walk(app.url(redirect_uri=WEB_CALLBACK))
    assert browser.get(app.url(redirect_uri=WEB_CALLBACK)).sent["code"]  # agreed to before
    for changed in (
        app.url(redirect_uri=WEB_CALLBACK, scope="catalog.read"),
        app.url(redirect_uri=WEB_CALLBACK, resource=app.origin),
        app.url(redirect_uri=WEB_CALLBACK, prompt="consent"),
        app.url(),
        other.url(redirect_uri=WEB_CALLBACK + "2"),  # the same name, another application
    ):
        assert "Allow access" in browser.get(changed).text


def test_whoever_listens_on_the_persons_own_machine_is_asked_for_each_time(house: Served, browser: Browser) -> None:
    app = Application(house.url("mcp"), redirect_uris=[CALLBACK, "com.example.app:/back"])
    for redirect_uri in (CALLBACK, "com.example.app:/back"):
        browser.walk(app.url(redirect_uri=redirect_uri))
        assert "Allow access" in browser.get(app.url(redirect_uri=redirect_uri)).text


def test_consent_of_one_person_is_not_anothers(app: Application, browser: Browser, house: Served) -> None:
    browser.walk(app.url(redirect_uri=WEB_CALLBACK))
    with Browser(house.url("mcp")) as other:
        assert "Allow access" in other.arrive(app.url(redirect_uri=WEB_CALLBACK), "bob").text


def test_an_application_that_is_forgotten_is_out_and_asks_again(house: Served, browser: Browser) -> None:
    app = Application(house.url("mcp"), client_name="Forget me <b>")
    url = app.url(redirect_uri=WEB_CALLBACK)
    token = app.redeem(browser.walk(url).sent["code"], redirect_uri=WEB_CALLBACK).json()["access_token"]
    page = browser.get("/auth/applications")
    assert "Forget me &lt;b&gt;" in page.text
    others = browser.form_of(page, app.client_id, proof="0" * 64)
    assert others.status == 403
    assert opens(house, token, "mcp") == 200
    assert browser.form_of(page, app.client_id).status == 200
    assert opens(house, token, "mcp") == 401
    assert "Allow access" in browser.get(url).text
    assert app.client_id not in browser.get("/auth/applications").text


def test_nobody_forgets_another_persons_application(house: Served, app: Application, browser: Browser) -> None:
    token = app.tokens(browser)["access_token"]
    with Browser(house.url("mcp")) as other:
        page = other.arrive("/auth/applications", "bob")
        assert app.client_id not in page.text
        app.tokens(other, "bob")
        assert other.form_of(other.get("/auth/applications"), app.client_id).status == 200
    assert opens(house, token, "mcp") == 200


def test_a_refusal_goes_back_with_state_and_issuer(app: Application, browser: Browser) -> None:
    page = browser.submit(browser.arrive(app.url(prompt="consent")), "deny")
    assert page.sent == {"error": "access_denied", "state": "xyz", "iss": app.origin}


def test_a_form_without_the_pages_proof_is_refused(app: Application, browser: Browser, house: Served) -> None:
    page = browser.arrive(app.url(prompt="consent"))
    for proof in ("", "0" * 64):
        assert browser.submit(page, "allow", proof=proof).status == 403
    with Browser(house.url("mcp")) as other:  # a form of another browser's session
        theirs = other.arrive(app.url(prompt="consent"), "bob").form("allow")[1]["proof"]
    assert browser.submit(page, "allow", proof=theirs).status == 403
    answer = browser.http.post(
        f"{app.origin}/oauth/authorize", data=page.form("allow")[1], headers={"origin": "https://evil.example"}
    )
    assert answer.status_code == 403


def test_pages_can_not_be_framed_scripted_or_stored(app: Application, browser: Browser) -> None:
    page = browser.arrive(app.url(prompt="consent"))
    rules = page.headers["content-security-policy"]
    assert "default-src 'none'" in rules
    assert "frame-ancestors 'none'" in rules
    assert "form-action 'self' http://127.0.0.1:33418;" in rules
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    assert "<script" not in page.text
    cookies = browser.http.get(f"{app.origin}/auth/sign-in").headers
    assert all("HttpOnly" in line and "SameSite=lax" in line for line in cookies.get_list("set-cookie"))


def test_an_applications_name_is_text_and_nothing_else(house: Served, browser: Browser) -> None:
    app = Application(house.url("mcp"), client_name="<script>alert(1)</script>")
    page = browser.arrive(app.url())
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;" in page.text


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil", "/oauth/authorize\r\nx", "/v1"]
)
def test_signing_in_sends_nobody_elsewhere(house: Served, browser: Browser, target: str) -> None:
    page = browser.get("/auth/sign-in")
    done = browser.submit(page, "in", tenant="default", login="ann", password="four quiet wooden boats", next=target)
    assert done.url == f"{house.url('mcp')}/auth/sign-in"
    assert "refresh" not in done.text


def test_an_unknown_name_and_a_wrong_password_are_told_alike(browser: Browser) -> None:
    said = [browser.sign_in(browser.get("/auth/sign-in"), name, "not it").text for name in ("ann", "nobody")]
    texts = [text.split('class="wrong">')[1].split("</p>")[0] for text in said]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"redirect_uris": []},
        {"redirect_uris": ["https://a.example/x"] * 11},
        {"redirect_uris": ["http://a.example/x"]},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["javascript://a.example/%0aalert(1)"]},
        {"redirect_uris": ["data:text/html,x"]},
        {"redirect_uris": ["https://a.example/x#y"]},
        {"redirect_uris": ["https://user@a.example/x"]},
        {"redirect_uris": ["https://*.example/x"]},
        {"redirect_uris": ["https://a.example/ x"]},
        {"redirect_uris": [7]},
        {"redirect_uris": [CALLBACK], "client_name": "x" * 101},
        {"redirect_uris": [CALLBACK], "client_name": "a\u202eb"},
        {"redirect_uris": [CALLBACK], "grant_types": ["implicit"]},
        {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt"},
        {"redirect_uris": [CALLBACK], "response_types": ["token"]},
    ],
)
def test_a_wrong_registration_is_refused(house: Served, document: Any) -> None:
    answer = httpx.post(f"{house.url('mcp')}/oauth/register", json=document, timeout=20, verify=False)
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_client_metadata", "invalid_redirect_uri", "invalid_request")


def test_a_huge_registration_is_refused(house: Served) -> None:
    answer = httpx.post(
        f"{house.url('mcp')}/oauth/register", json={"client_name": "x" * 10**6}, timeout=20, verify=False
    )
    assert answer.status_code == 413


def test_an_application_with_a_secret_must_show_it(house: Served, browser: Browser) -> None:
    app = Application(house.url("mcp"), token_endpoint_auth_method="client_secret_post")
    code = browser.walk(app.url()).sent["code"]
    assert app.redeem(code).json()["error"] == "invalid_client"
    assert app.redeem(code, client_secret="wrong").json()["error"] == "invalid_client"
    assert app.redeem(code, client_secret=app.client["client_secret"]).status_code == 200


def test_revoking_ends_the_sign_in_and_only_for_its_application(
    house: Served, app: Application, browser: Browser
) -> None:
    tokens = app.tokens(browser)
    other = Application(app.origin)
    assert other.post("/oauth/revoke", token=tokens["refresh_token"]).status_code == 200
    assert opens(house, tokens["access_token"], "mcp") == 200
    assert app.post("/oauth/revoke", token=tokens["access_token"]).status_code == 200
    assert opens(house, tokens["access_token"], "mcp") == 401
    assert app.post("/oauth/revoke", token="nonsense").status_code == 200


def test_scopes_narrow_what_a_token_may_do(house: Served, app: Application, browser: Browser) -> None:
    token = app.tokens(browser, resource=app.origin, scope="query.run")["access_token"]
    assert opens(house, token, "/v1/connections") == 403


def test_a_person_who_is_deactivated_is_out(house: Served, app: Application) -> None:
    house.run(house.platform.engine.identity.directory.create_user("default", user_id="cyd", roles=["viewer"]))
    identity = house.platform.engine.identity
    owner = house.run(identity.local_owner())
    link = house.run(identity.admin.passwords.make_link(owner, "cyd"))
    house.run(identity.admin.passwords.accept(link.secret, "password", "four quiet wooden boats"))
    with Browser(house.url("mcp")) as theirs:
        tokens = app.tokens(theirs, "cyd")
        house.run(identity.admin.people.set_active(owner, "cyd", is_active=False))
        assert opens(house, tokens["access_token"], "mcp") == 401
        assert app.renew(tokens["refresh_token"]).json()["error"] == "invalid_grant"
        assert "/auth/sign-in" in theirs.get(app.url()).url


def test_sessions_are_listed_and_ended_by_their_owner(house: Served, app: Application, browser: Browser) -> None:
    tokens = app.tokens(browser, resource=app.origin)
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    listed = httpx.get(f"{house.url('rest')}/v1/sessions", headers=bearer, timeout=20, verify=False).json()
    own = claims(tokens["access_token"])["sid"]
    assert own in json.dumps(listed)
    ended = httpx.delete(f"{house.url('rest')}/v1/sessions/{own}", headers=bearer, timeout=20, verify=False)
    assert ended.status_code in (200, 204)
    assert opens(house, tokens["access_token"], "/v1/connections") == 401
    assert app.renew(tokens["refresh_token"]).status_code == 400


def test_the_answer_names_the_issuer_whose_metadata_was_read(house: Served, browser: Browser) -> None:
    for face in ("mcp", "rest"):
        origin = house.url(face)
        said = httpx.get(f"{origin}/.well-known/oauth-authorization-server", timeout=20, verify=False).json()
        assert said["issuer"] == origin
        with Browser(origin) as here:
            app = Application(origin)
            assert here.walk(app.url(resource=origin)).sent["iss"] == origin


def test_mcp_says_where_to_sign_in(house: Served) -> None:
    answer = httpx.post(f"{house.url('mcp')}/mcp", json={}, timeout=20, verify=False)
    where = f"{house.url('mcp')}/.well-known/oauth-protected-resource/mcp"
    assert f'resource_metadata="{where}"' in answer.headers["www-authenticate"]
    said = httpx.get(where, timeout=20, verify=False).json()
    assert said["resource"] == f"{house.url('mcp')}/mcp"
    assert said["authorization_servers"] == [house.url("mcp")]
    assert httpx.get(where + "/x/y", timeout=20, verify=False).status_code == 404
