"""Fixtures: the face in process, and on a real port."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.api.rest.serving import ADMIN, Face, build_face, serving


@pytest.fixture
def face() -> Face:
    return build_face()


@pytest.fixture
async def client(face: Face) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(face.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=ADMIN) as client:
        yield client


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    with serving(build_face(max_body_mb=1).app) as port:
        yield port
