from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.tools.admin.people_desk import PeopleDesk, opened_people


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[PeopleDesk]:
    async with opened_people(tmp_path) as opened:
        yield opened
