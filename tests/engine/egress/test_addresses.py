"""Which addresses may be called."""

from ipaddress import ip_address

import pytest

from engine.egress.addresses import AddressRules, Refused, is_public, parse_target

FORBIDDEN = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "192.0.0.1",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "2001::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "::7f00:1",
    "::ffff:0:127.0.0.1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::a00:1",
    "2606:4700::5efe:10.0.0.1",
]

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "2606:4700::1111",
    "2a00:1450:4001:81b::200e",
    "64:ff9b::8.8.8.8",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_an_address_that_is_not_of_the_public_internet_is_forbidden(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:/",
        "https://example.com:x/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.01/",
        "https://1.2.3.4.5/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com/\r\nhost: x",
        "https://ex\u00e4mple.com/",
        "https://127\u30020\u30020\u30021/",
        "https://[::1/",
        "https://[::1%25eth0]/",
        "https://a..b/",
        "https://example.com/" + "a" * 5000,
    ],
)
def test_an_odd_url_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        parse_target(url)


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "https://example.com:22/", "https://example.com:25/", "http://127.0.0.1:8080/"],
)
def test_plain_http_and_foreign_ports_are_for_allowed_hosts(url: str) -> None:
    with pytest.raises(Refused):
        AddressRules().check_target(parse_target(url))


def test_a_url_is_put_together_from_its_parts() -> None:
    target = parse_target("HTTPS://Example.COM.:8443/a/b?c=d#e")
    assert target.url == "https://example.com:8443/a/b?c=d"


def test_one_forbidden_address_among_many_refuses_the_host() -> None:
    with pytest.raises(Refused):
        AddressRules().check_addresses("example.com", 443, ["8.8.8.8", "10.0.0.1"])


def test_an_allowed_host_may_be_private_on_its_port_alone() -> None:
    rules = AddressRules(["keys.internal:8443", "[::1]:9000"])
    assert rules.check_addresses("keys.internal", 8443, ["10.0.0.1"])
    assert rules.check_addresses("::1", 9000, ["::1"])
    with pytest.raises(Refused):
        rules.check_addresses("keys.internal", 443, ["10.0.0.1"])


def test_an_allowed_name_never_leads_to_a_metadata_service() -> None:
    with pytest.raises(Refused):
        AddressRules(["keys.internal"]).check_addresses("keys.internal", 443, ["169.254.169.254"])
