"""Raw bytes on a real socket: whatever comes, no 500 and no hanging."""

import socket

import pytest

AUTH = b"Authorization: Bearer admin-token\r\n"
HOST = b"Host: localhost\r\n"


def exchange(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR) if sent.endswith(b"!") else None
        answer = b""
        while part := connection.recv(65536):
            answer += part
            if (
                b"\r\n\r\n" in answer
                and b"connection: close" not in answer.lower()
                and b"Connection: close" not in sent
            ):
                break
        return answer


def post(path: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return (
        b"POST " + path + b" HTTP/1.1\r\n" + HOST + AUTH + b"Connection: close\r\n" + b"".join(headers) + b"\r\n" + body
    )


@pytest.mark.parametrize(
    "request_line, status",
    [
        (b"GET /v1/things/%ff HTTP/1.1", b"400"),
        (b"GET /v1/things/%zz HTTP/1.1", b"200"),
        (b"GET /v1/things/%2F%2e%2e%2F HTTP/1.1", b"200"),
        (b"GET /v1/things/%00 HTTP/1.1", b"400"),
        (b"GET /v1/things/x?tags=%ff HTTP/1.1", b"400"),
        (b"GET /v1/things/x?%ff=1 HTTP/1.1", b"400"),
        (b"GET /v1/things/x?" + b"a&" * 1500 + b" HTTP/1.1", b"400"),
        (b"GET //v1//things//x HTTP/1.1", b"404"),
        (b"GET /v1/../v1/things/x HTTP/1.1", b"404"),
        (b"GET /v1/things/\xc3\xa9 HTTP/1.1", b"400"),
        (b"GET http://localhost/v1/things/x HTTP/1.1", b""),
        (b"OPTIONS * HTTP/1.1", b"404"),
        (b"TRACE /v1/things/x HTTP/1.1", b"405"),
    ],
)
def test_odd_request_lines_are_answered(port: int, request_line: bytes, status: bytes) -> None:
    answer = exchange(port, request_line + b"\r\n" + HOST + AUTH + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert not answer.startswith(b"HTTP/1.1 5")


def test_a_body_on_get_is_read_like_any_other(port: int) -> None:
    line = b"GET /v1/things/x HTTP/1.1\r\n" + HOST + AUTH + b"Connection: close\r\n"
    assert exchange(port, line + b"Content-Length: 16\r\n\r\n" + b'{"verbose":true}').startswith(b"HTTP/1.1 200")
    assert exchange(port, line + b"Content-Length: 3\r\n\r\nabc").startswith(b"HTTP/1.1 400")


def test_requests_may_be_pipelined(port: int) -> None:
    one = b"GET /v1/things/a HTTP/1.1\r\n" + HOST + AUTH
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall((one + b"\r\n") * 2 + one + b"Connection: close\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.count(b"HTTP/1.1 200") == 3


def test_a_chunked_body_is_joined(port: int) -> None:
    body = b'8\r\n{"count"\r\n3\r\n:5}\r\n0\r\n\r\n'
    answer = exchange(port, post(b"/v1/things/rows", b"Transfer-Encoding: chunked\r\n", body=body))
    assert b'"row_count":5' in answer


def test_a_declared_body_that_is_too_large_is_refused_unread(port: int) -> None:
    answer = exchange(port, post(b"/v1/things/rows", b"Content-Length: 99999999999\r\n"))
    assert answer.startswith(b"HTTP/1.1 413") and b'"code": "INVALID_ARGUMENT"' in answer


def test_a_chunked_body_that_grows_too_large_is_refused(port: int) -> None:
    part = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = exchange(port, post(b"/v1/things/rows", b"Transfer-Encoding: chunked\r\n", body=part * 18 + b"0\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_body_that_never_ends_hangs_nobody(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(post(b"/v1/things/rows", b"Content-Length: 100\r\n", body=b'{"count"'))
        connection.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1 5" not in connection.recv(65536)


@pytest.mark.parametrize("host", [b"", b"Host: evil.example\r\n", HOST + HOST, b"Host: localhost@evil.example\r\n"])
def test_a_foreign_or_unclear_host_is_refused(port: int, host: bytes) -> None:
    answer = exchange(port, b"GET /v1/things/x HTTP/1.1\r\n" + host + AUTH + b"Connection: close\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))
