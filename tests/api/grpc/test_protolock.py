"""Field numbers are given once."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.proto_text import FieldTypeChanged, generate
from api.protolock import LOCK_FILE, LockedMessage, lock_text, read_lock, shipped_lock
from core.registry import Registry


@dataclass(frozen=True)
class F:
    wire: str
    type_text: str = "string"


def test_a_new_field_is_numbered_after_all_that_ever_were() -> None:
    lock = LockedMessage({"a": 1, "b": 4}, reserved=(7,)).renewed([F("a"), F("b"), F("c"), F("d")])
    assert lock.fields == {"a": 1, "b": 4, "c": 8, "d": 9}


def test_a_vanished_field_leaves_its_number_and_name_reserved() -> None:
    lock = LockedMessage({"a": 1, "b": 2}).renewed([F("a")])
    assert (lock.reserved, lock.reserved_names) == ((2,), ("b",))


def test_a_field_that_comes_back_gets_a_new_number() -> None:
    lock = LockedMessage({"a": 1, "b": 2}).renewed([F("a")]).renewed([F("a"), F("b")])
    assert lock.fields["b"] == 3
    assert (lock.reserved, lock.reserved_names) == ((2,), ())


def test_a_lock_survives_its_file(tmp_path: Path) -> None:
    lock = {"M": LockedMessage({"b": 2, "a": 1}, {"a": "string"}, (3,), ("c",))}
    (tmp_path / "lock").write_text(lock_text(lock))
    assert read_lock(tmp_path / "lock") == lock


def test_the_shipped_lock_holds_the_published_numbers() -> None:
    lock = read_lock(shipped_lock())
    assert lock["QueryMetadata"].fields["from_cache"] == 4
    assert lock["ExecuteQueryRequest"].fields["connection_id"] == 4
    assert lock["GetSchemaRequest"].fields["connection_id"] == 1
    assert {name: lock["TableSchema"].fields[name] for name in ("name", "columns", "row_count")} == {
        "name": 1,
        "columns": 2,
        "row_count": 3,
    }


@pytest.fixture
def registry() -> Registry:
    return Registry.walk(["tests.fakes.sample_tools"])


def test_generating_twice_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    assert len(generate(registry, tmp_path)) == 2
    assert generate(registry, tmp_path) == []


def test_a_stale_file_is_written_anew(registry: Registry, tmp_path: Path) -> None:
    generate(registry, tmp_path)
    proto = tmp_path / "headwater/v1/headwater.proto"
    proto.write_text(proto.read_text() + "\n")
    assert generate(registry, tmp_path) == [proto]


def test_a_type_that_changed_under_its_number_is_refused(registry: Registry, tmp_path: Path) -> None:
    generate(registry, tmp_path)
    lock = json.loads((tmp_path / LOCK_FILE).read_text())
    lock["Part"]["types"]["weight"] = "string"
    (tmp_path / LOCK_FILE).write_text(json.dumps(lock))
    with pytest.raises(FieldTypeChanged, match=r"Part\.weight: string became double"):
        generate(registry, tmp_path)


def test_the_numbers_of_a_tool_that_is_gone_wait_for_it(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).parent.mkdir()
    (tmp_path / LOCK_FILE).write_text(lock_text({"GoneRequest": LockedMessage({"x": 5})}))
    generate(registry, tmp_path)
    assert read_lock(tmp_path / LOCK_FILE)["GoneRequest"].fields == {"x": 5}


def test_a_seeded_number_that_no_field_uses_is_reserved_in_the_text(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).parent.mkdir()
    (tmp_path / LOCK_FILE).write_text(lock_text({"Part": LockedMessage({"name": 3, "colour": 1})}))
    generate(registry, tmp_path)
    text = (tmp_path / "headwater/v1/headwater.proto").read_text()
    assert 'reserved 1;\n  reserved "colour";' in text
    assert "optional string name = 3;" in text
    assert "optional double weight = 4;" in text
