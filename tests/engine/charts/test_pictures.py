"""Drawing: a picture comes out, and nothing is ever fetched, whatever a specification says."""

import socket
import threading
from collections.abc import Iterator

import pytest

from core.errors import Unavailable
from engine.charts.pictures import draw

PNG = b"\x89PNG\r\n\x1a\n"
SIZE = {"width": 60, "height": 40}


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server, and what it was asked for."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(1)
                    asked.append(connection.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        finally:
            stopped.set()
            thread.join(5)


async def test_no_specification_reaches_the_network(listener: tuple[str, list[bytes]]) -> None:
    url, asked = listener
    image = {"mark": {"type": "image", "url": f"{url}/a.png"}, "data": {"values": [{"a": 1}]}}
    by_field = {
        "mark": "image",
        "data": {"values": [{"u": f"{url}/b.png"}]},
        "encoding": {"url": {"field": "u", "type": "nominal"}},
    }
    encoding = {"x": {"field": "a", "type": "quantitative"}}
    for spec in (
        {"mark": "bar", "data": {"url": f"{url}/d.json"}, "encoding": encoding},
        image,
        by_field,
    ):
        with pytest.raises(Unavailable) as refused:
            await draw(SIZE | spec)
        assert url not in refused.value.message + refused.value.hint
    assert asked == []


async def test_a_picture_is_never_too_large() -> None:
    spec = {"mark": "bar", "data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a", "type": "quantitative"}}}
    picture = await draw({**spec, "width": 4000, "height": 3000})
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    assert width * height < 5_000_000
