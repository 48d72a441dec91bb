"""The pages of links and passwords, and what strangers try with them."""

import re
from base64 import b64encode
from hashlib import sha256

import httpx
import pytest
from sqlalchemy import update

from engine.identity.links import OneTimeLink
from engine.identity.people import UserDraft
from engine.identity.secrets import digest
from engine.store.tables import one_time_links
from tests.faces.served import Served
from tests.signin.browser import CALLBACK, PASSWORD, Application, Browser, Page

PAGES = ("/auth/sign-in", "/auth/forgot", "/auth/invitation", "/auth/password", "/oauth/device", "/auth/applications")
TOO_LATE = "This link does not work any more"


def invited(house: Served, name: str) -> str:
    """The secret of a new person's invitation."""
    return invite(house, name).secret


def invite(house: Served, name: str) -> OneTimeLink:
    identity = house.platform.engine.identity
    owner = house.run(identity.local_owner())
    draft = UserDraft(email=f"{name}@example.com", name=name.title(), roles=["viewer"])
    return house.run(identity.admin.people.invite(owner, draft))[1]


def link_of(house: Served, user_id: str) -> str:
    """The secret of a link for a new password."""
    identity = house.platform.engine.identity
    owner = house.run(identity.local_owner())
    return house.run(identity.admin.passwords.make_link(owner, user_id)).secret


def set_password(browser: Browser, secret: str, password: str = PASSWORD, purpose: str = "invitation") -> Page:
    return browser.submit(browser.get(f"/auth/{purpose}"), "set", secret=secret, password=password)


def test_an_invited_person_comes_in_once(house: Served) -> None:
    secret = invited(house, "dora")
    with Browser(house.url("mcp")) as theirs:
        weak = set_password(theirs, secret, "short")
        assert weak.status == 409
        assert f'value="{secret}"' in weak.text  # the link still works, and is not asked for again
        assert "You are signed in" in set_password(theirs, secret).text
        assert "Dora" in theirs.arrive(Application(house.url("mcp")).url()).text
        again = set_password(theirs, secret)
        assert (again.status, TOO_LATE in again.text) == (404, True)


def test_wrong_late_and_foreign_links_are_told_alike(house: Served) -> None:
    secret, late = invited(house, "emil"), invited(house, "fred")
    late_one = update(one_time_links).where(one_time_links.c.token_hash == digest(late)).values(expires_at=1.0)
    house.run(house.platform.engine.store.write(lambda connection: connection.execute(late_one)))
    tried = [("invitation", "hwl_guess"), ("invitation", ""), ("invitation", late), ("password", secret)]
    tried += [("invitation", secret[:-1]), ("invitation", secret.upper()), ("invitation", "hwl_" + "x" * 2000)]
    tried.append(("invitation", link_of(house, "bob")))
    with Browser(house.url("mcp")) as stranger:
        for purpose, said in tried:
            answer = set_password(stranger, said, purpose=purpose)
            assert (answer.status, TOO_LATE in answer.text) == (404, True), (purpose, said)


def test_a_link_of_somebody_who_was_let_go_opens_nothing(house: Served) -> None:
    identity = house.platform.engine.identity
    owner = house.run(identity.local_owner())
    link = invite(house, "gwen")
    house.run(identity.admin.people.delete(owner, link.user_id))
    with Browser(house.url("mcp")) as theirs:
        assert set_password(theirs, link.secret).status == 404


def test_a_new_password_ends_what_the_old_one_opened(house: Served) -> None:
    house.run(house.platform.engine.identity.directory.create_user("default", user_id="hugo", roles=["viewer"]))
    app = Application(house.url("mcp"))
    with Browser(house.url("mcp")) as before, Browser(house.url("mcp")) as after:
        set_password(before, link_of(house, "hugo"), purpose="password")
        refresh = app.tokens(before, "hugo")["refresh_token"]
        done = set_password(after, link_of(house, "hugo"), PASSWORD + " more", purpose="password")
        assert "You are signed in" in done.text
        assert app.renew(refresh).json()["error"] == "invalid_grant"
        assert "/auth/sign-in" in before.get("/auth/applications").url


@pytest.mark.parametrize("path", PAGES)
def test_no_page_can_be_framed_sniffed_stored_or_scripted(browser: Browser, path: str) -> None:
    page = browser.get(path)
    rules = dict(rule.strip().partition(" ")[::2] for rule in page.headers["content-security-policy"].split(";"))
    assert (rules["default-src"], rules["frame-ancestors"], rules["base-uri"]) == ("'none'", "'none'", "'none'")
    assert rules["form-action"] == "'self'"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"
    script = page.text.partition("<script>")[2].partition("</script>")[0]
    if script:  # only what a link's page was made with
        assert path in ("/auth/invitation", "/auth/password")
        assert rules["script-src"] == f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
    assert ("script-src" in rules) == bool(script)
    assert not re.search(r"<[^>]* on\w+\s*=", page.text)


@pytest.mark.parametrize("path", ["/auth/sign-in", "/auth/forgot", "/auth/invitation", "/auth/password"])
def test_no_form_is_taken_from_elsewhere(house: Served, path: str) -> None:
    with Browser(house.url("mcp")) as stranger, Browser(house.url("mcp")) as other:
        page, theirs = stranger.get(path), other.get(path)
        button = page.text.split('name="decision" value="')[1].split('"')[0]
        said = {"tenant": "default", "login": "ann", "password": PASSWORD, "secret": "hwl_x"}
        for proof in ("", "0" * 64, theirs.form(button)[1]["proof"]):
            assert stranger.submit(page, button, proof=proof, **said).status == 403
        for origin in ("https://evil.example", "null"):
            answer = stranger.http.post(stranger.origin + path, data=page.form(button)[1], headers={"origin": origin})
            assert answer.status_code == 403


def test_another_hosts_name_makes_no_page(house: Served) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example"):
        answer = httpx.get(f"{house.url('mcp')}/auth/sign-in", headers={"host": host}, timeout=20)
        assert answer.status_code == 421
        assert "evil" not in answer.text


@pytest.mark.parametrize(
    "target",
    [
        "/auth/applications//evil.example",
        "/oauth/authorize@evil.example",
        "/oauth/authorize.evil.example",
        "/oauth/device/../../evil",
        "\t//evil.example",
        "/oauth/authorize?\n",
        "https:evil.example",
    ],
)
def test_coming_in_leads_to_our_own_pages_alone(browser: Browser, target: str) -> None:
    page = browser.get("/auth/sign-in")
    done = browser.submit(page, "in", tenant="default", login="ann", password=PASSWORD, next=target)
    assert 'http-equiv="refresh"' not in done.text


def test_a_field_sent_twice_or_with_a_nul_is_refused(browser: Browser) -> None:
    page = browser.get("/auth/sign-in")
    action, said = page.form("in")
    for more in ("&login=ann&login=bob", "&login=a%00nn", "&password=%ff%fe"):
        body = "&".join(f"{name}={value}" for name, value in said.items()) + more
        headers = {"content-type": "application/x-www-form-urlencoded", "origin": browser.origin}
        assert browser.http.post(action, content=body, headers=headers).status_code in (400, 401)


def test_what_an_application_says_of_itself_is_shown_as_its_word_and_as_text(house: Served, browser: Browser) -> None:
    bad = "https://evil.example/logo.svg"
    app = Application(
        house.url("mcp"),
        client_name='Headwater"><img src=x>',
        logo_uri=bad,
        client_uri=bad,
        policy_uri="javascript:alert(1)",
        tos_uri=bad,
        contacts=["<b>x</b>"],
    )
    text = browser.arrive(app.url()).text
    assert "It calls itself" in text
    assert "Headwater&quot;&gt;&lt;img src=x&gt;" in text
    assert "<img" not in text
    assert "evil.example" not in text
    assert "javascript:" not in text


@pytest.mark.parametrize("name", ["Cl\u200baude", "Claude\u202e", "a\nb", "\u0007", "x" * 101, "Claude\u00a0Code"])
def test_names_with_what_nobody_sees_are_refused(house: Served, name: str) -> None:
    document = {"redirect_uris": [CALLBACK], "client_name": name, "token_endpoint_auth_method": "none"}
    answer = httpx.post(f"{house.url('mcp')}/oauth/register", json=document, timeout=20)
    assert answer.json()["error"] == "invalid_client_metadata"


def test_a_device_that_a_stranger_started_is_shown_with_where_it_asks_from(house: Served, browser: Browser) -> None:
    started = httpx.post(f"{browser.origin}/oauth/device", data={"client_id": "headwater-cli"}, timeout=20).json()
    text = browser.get(f"/oauth/device?user_code={started['user_code']}").text
    for told in (
        "Allow this only if you started it yourself just now",
        "Whoever sent you a code would act as you",
        "127.0.0.1",
        "Everything that you may do here",
    ):
        assert told in text
    app = Application(browser.origin)
    taken = app.post("/oauth/token", grant_type=DEVICE, device_code=started["device_code"])
    assert taken.json()["error"] == "invalid_grant"  # another application's


DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def test_a_cookie_is_no_token_and_a_token_no_cookie(house: Served, browser: Browser) -> None:
    cookie = browser.http.cookies.get("hw-session") or ""
    bearer = {"authorization": f"Bearer {cookie}"}
    assert httpx.get(f"{house.url('rest')}/v1/sessions", headers=bearer, timeout=20).status_code == 401
    token = Application(browser.origin).tokens(browser, resource=browser.origin)["access_token"]
    for held in (token, cookie[:-1], cookie + "x", "." + cookie, "e30." + cookie.partition(".")[2]):
        asked = httpx.get(f"{browser.origin}/auth/applications", cookies={"hw-session": held}, timeout=20)
        assert asked.status_code == 303


@pytest.mark.parametrize(
    ("path", "method"),
    [("token", "GET"), ("register", "GET"), ("revoke", "GET"), ("device", "PUT"), ("authorize", "PUT")],
)
def test_endpoints_take_their_own_method_alone(house: Served, path: str, method: str) -> None:
    answer = httpx.request(method, f"{house.url('mcp')}/oauth/{path}?grant_type=refresh_token", timeout=20)
    assert answer.status_code in (404, 405)
    assert httpx.post(f"{house.url('mcp')}/oauth/token", json={"grant_type": "x"}, timeout=20).status_code == 400
