"""A sample of our attacks through every door of a served platform; `make judge` sends all of them, and a corpus."""

import logging
from collections.abc import Iterator

import pytest

from tests.hostile.attacks.lair import Lair, lair
from tests.hostile.attacks.own import read, sample
from tests.hostile.attacks.probes import Logs
from tests.hostile.attacks.siege import besiege


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lair]:
    with lair(tmp_path_factory.mktemp("lair")) as opened:
        yield opened


def test_attacks_find_nothing_at_any_door(place: Lair) -> None:
    logs = Logs()
    logging.root.addHandler(logs)
    try:
        siege = besiege(place, sample(12), logs)
    finally:
        logging.root.removeHandler(logs)
    assert siege.problems == []
    assert siege.live >= 3, "the attacks are no longer attacks: an administrator sees nothing by them"


def test_every_class_is_there() -> None:
    kinds = {attack.kind for attack in read()}
    assert {"policy_row", "policy_column", "policy_table", "metadata", "own_db", "persistence", "resource"} <= kinds
