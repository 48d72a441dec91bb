from pathlib import Path

import pytest

from core.errors import Conflict, NotFound, Unauthorized
from engine.connectors.places import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "home" / "warehouse").mkdir(parents=True)
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    return Places(home=tmp_path / "home", roots=[tmp_path / "data"], private_hosts=["db.internal", "127.0.0.1:5432"])


def test_a_folder_under_a_root_is_allowed(places: Places, tmp_path: Path) -> None:
    assert places.check_path(str(tmp_path / "data" / "inner")) == (tmp_path / "data" / "inner").resolve()


def test_everything_else_is_refused(places: Places, tmp_path: Path) -> None:
    (tmp_path / "data" / "way out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "way home").symlink_to(tmp_path / "home")
    for path in (
        "/etc/passwd",
        str(tmp_path / "elsewhere"),
        str(tmp_path / "data" / ".." / "elsewhere"),
        str(tmp_path / "data" / "way out"),
        str(tmp_path / "data" / "way home" / "warehouse"),
    ):
        with pytest.raises(Unauthorized):
            places.check_path(path)


@pytest.mark.parametrize("path", ["relative", "s3://bucket/x", "file:///etc/passwd", "/a\0", "", "~", "~root/x"])
def test_what_is_no_absolute_local_path_is_refused(places: Places, path: str) -> None:
    with pytest.raises(Conflict):
        places.check_path(path)


@pytest.mark.parametrize("name", ["nothing", "x" * 300, "x/" * 3000])
def test_a_path_to_nothing_is_not_found(places: Places, tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        places.check_path(str(tmp_path / "data" / name))


def test_the_folders_of_lakehouses_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "warehouse" / "db").mkdir(parents=True)
    places = Places(
        home=tmp_path / "home", roots=[tmp_path / "data"], lakehouses=lambda: [tmp_path / "data" / "warehouse"]
    )
    for path in ("data", "data/warehouse", "data/warehouse/db"):
        with pytest.raises(Unauthorized):
            places.check_path(str(tmp_path / path))


def test_the_home_is_refused_even_when_a_root_holds_it(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    places = Places(home=tmp_path / "home", roots=[tmp_path])
    for path in (tmp_path, tmp_path / "home"):
        with pytest.raises(Unauthorized):
            places.check_path(str(path))


def test_private_hosts_are_refused_unless_the_operator_lists_them(places: Places) -> None:
    assert places.check_host("127.0.0.1", 5432) == "127.0.0.1"
    assert places.check_host("8.8.8.8", 5432) == "8.8.8.8"
    for host, port in (("127.0.0.1", 5433), ("localhost", 5432), ("169.254.169.254", 80), ("::1", 1), ("/run/pg", 1)):
        with pytest.raises(Unauthorized, match="private"):
            places.check_host(host, port)


def test_a_host_that_does_not_resolve_is_said_plainly(places: Places) -> None:
    for host in ("no-such-host.invalid", "a..b", "x" * 70 + ".com"):
        with pytest.raises(NotFound, match="resolve"):
            places.check_host(host, 5432)
