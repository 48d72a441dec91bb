"""Where people are sent back to: which addresses an application may have, and which are the same."""

import pytest

from engine.identity.oauth.redirects import check_redirect, form_target, is_same
from engine.identity.oauth.refusals import InvalidRedirect

HERE = "http://127.0.0.1:33418/callback"


@pytest.mark.parametrize(
    "uri",
    [
        "https://claude.ai/api/mcp/auth_callback",
        "https://chatgpt.com/connector_platform_oauth_redirect",
        "http://localhost:6274/oauth/callback",
        "http://[::1]:80/x?y=1",
        "cursor://anysphere.cursor-retrieval/oauth/back",
        "com.example.app:/oauth",
    ],
)
def test_addresses_of_real_applications_are_taken(uri: str) -> None:
    assert check_redirect(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/callback",
        "//evil.example/x",
        "http://127.0.0.1.evil.example/x",
        "http://127.0.0.2/x",
        "http://localhost.evil.example/x",
        "http://[::1%25eth0]/x",
        "https:///x",
        "https://a.example;frame-ancestors/x",
        "https://a.example,b.example/x",
        "https://a.example'self'/x",
        "https://a.example:x/",
        "https://a.example:123456/",
        "https://a.example\\@evil.example/x",
        "https://a.example/x\u0000",
        "https://b\u00fccher.example/x",
        "https://a.example/\u202ex",
        "HTTPS://user:secret@a.example/x",
        "JavaScript://a.example/%0aalert(1)",
        "view-source:https://a.example/",
        "about:blank",
        "intent://a#Intent;end",
        "x:/a",
        "app:opaque",
        7,
        None,
    ],
)
def test_what_leads_elsewhere_is_not(uri: object) -> None:
    with pytest.raises(InvalidRedirect):
        check_redirect(uri)


@pytest.mark.parametrize(
    ("sent", "registered"),
    [
        (HERE, HERE),
        (HERE.replace("33418", "1"), HERE),
        ("http://127.0.0.1/callback", HERE),
        ("http://[::1]:5/x", "http://[::1]:6/x"),
        ("http://localhost:5/x?y=1", "http://localhost/x?y=1"),
    ],
)
def test_the_port_of_this_machine_is_free(sent: str, registered: str) -> None:
    assert is_same(sent, registered)


@pytest.mark.parametrize(
    ("sent", "registered"),
    [
        (HERE + "/", HERE),
        (HERE + "/../evil", HERE),
        (HERE + "%2f", HERE),
        (HERE + "?", HERE),
        (HERE + "#", HERE),
        (HERE.upper(), HERE),
        (HERE.replace("127.0.0.1", "localhost"), HERE),
        (HERE.replace("127.0.0.1", "127.1"), HERE),
        (HERE.replace("127.0.0.1", "[::ffff:127.0.0.1]"), HERE),
        (HERE.replace("http:", "https:"), HERE),
        (HERE.replace("//", "//u@"), HERE),
        (HERE.replace(":33418", ":"), HERE),
        (HERE.replace(":33418", ":99999"), HERE),
        ("https://a.example:444/x", "https://a.example/x"),
        ("https://a.example/x?code=1", "https://a.example/x"),
        ("https://A.example/x", "https://a.example/x"),
        ("https://a.example./x", "https://a.example/x"),
        ("com.example.app:/other", "com.example.app:/oauth"),
        ("", HERE),
    ],
)
def test_everything_else_is_another_address(sent: str, registered: str) -> None:
    assert not is_same(sent, registered)


def test_a_form_may_lead_to_the_address_alone() -> None:
    assert form_target("https://a.example:444/x?y") == "https://a.example:444"
    assert form_target("com.example.app:/oauth") == "com.example.app:"
