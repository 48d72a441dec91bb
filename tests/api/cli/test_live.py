"""What a call shows and writes while it runs."""

import os
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from api.cli import Options
from api.cli_live import Live
from api.cli_render import show
from api.streams import ArrowJoin
from core.errors import InvalidArgument, Unavailable
from core.jobs import Progress
from core.portable import Bars
from tests.fakes.sample_tools import Part


def _chunk(*values: int) -> bytes:
    table = pa.table({"n": pa.array(values, pa.int64())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


class Rows(Part):
    arrow_record_batch: bytes


async def test_chunks_become_one_stream_that_is_there_only_when_whole(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    with Live(Options(output=str(file))) as live:
        await live.emit(Rows(name="", arrow_record_batch=_chunk(1, 2)))
        assert not file.exists()
        await live.emit(Rows(name="", arrow_record_batch=_chunk(3)))
    assert pa.ipc.open_stream(file.read_bytes()).read_all()["n"].to_pylist() == [1, 2, 3]
    assert list(tmp_path.iterdir()) == [file]


async def test_a_failure_leaves_the_earlier_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_text("earlier")
    with pytest.raises(Unavailable), Live(Options(output=str(file))) as live:
        await live.emit(Rows(name="", arrow_record_batch=_chunk(1)))
        raise Unavailable("gone")
    assert file.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [file]


def test_a_device_is_written_and_not_replaced() -> None:
    with Live(Options(output=os.devnull)) as live:
        live.write(b"x")
    assert Path(os.devnull).is_char_device()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidArgument, match="no/rows cannot be written"),
        Live(Options(output=str(tmp_path / "no" / "rows"))) as live,
    ):
        live.write(b"x")


async def test_progress_and_parts_are_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Live(Options()) as live:
        await live.emit(Progress(message="reading", done=1, total=3))
        await live.emit(Part(name="a part", weight=1.5))
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "reading (1/3)\na part  weight 1.5\n")


async def test_beside_json_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with Live(Options(as_json=True)) as live:
        await live.emit(Progress(message="reading"))
        await live.emit(Part(name="a part"))
    assert capsys.readouterr().err == ""


async def test_a_long_part_is_one_line_without_what_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    with Live(Options()) as live:
        live.show({"event": "token", "tool": "", "text": "a\nb " + "c" * 200})
    said = capsys.readouterr().err
    assert said.startswith("token  a b ccc") and said.endswith("…\n") and len(said) == 101


def test_chunks_of_another_schema_are_not_joined() -> None:
    join = ArrowJoin()
    join.add(_chunk(1))
    other = pa.BufferOutputStream()
    with pa.ipc.new_stream(other, pa.schema([("m", pa.string())])):
        pass
    with pytest.raises(ValueError, match="schema"):
        join.add(other.getvalue().to_pybytes())


def _shown(result: dict[str, object], width: int = 80, bars: dict[str, Bars] | None = None) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        show(console, result, bars)
    return capture.get()


def test_fields_marked_as_bars_are_drawn_and_tables_stay_tables() -> None:
    sizes = [{"size": "small", "files": 8, "bytes": 1}, {"size": "large", "files": 2}, {"size": "none", "files": 0}]
    said = _shown({"sizes": sizes, "rows": [{"a": 7}], "empty": []}, bars={"sizes": Bars("size", "files")})
    lines = [line.split() for line in said.splitlines()]
    assert lines[:2] == [["a"], ["7"]]
    assert [line[0] for line in lines[-3:]] == ["small", "large", "none"]
    assert [line[-1] for line in lines[-3:]] == ["8", "2", "0"]
    lengths = [line.count("█") + line.count("#") for line in said.splitlines()[-3:]]
    assert lengths[0] == 4 * lengths[1] and lengths[2] == 0
    assert all(len(line) <= 80 for line in said.splitlines())


def test_times_beside_bars_are_written_as_people_do() -> None:
    periods = [{"since": "2026-11-22T07:01:52.916000Z", "count": 1}, {"since": "next", "count": 2}]
    said = _shown({"periods": periods}, bars={"periods": Bars("since", "count")})
    assert said.splitlines()[1].strip().startswith("2026-11-22 07:01:52 ")


def test_a_table_too_wide_keeps_its_first_columns_and_names_the_others() -> None:
    said = _shown({"rows": [{f"column_{number}": "x" * 20 for number in range(9)}]})
    assert "column_0" in said.splitlines()[0]
    assert "not shown: column_3" in said
    assert all(len(line) <= 80 for line in said.splitlines()[:2])


def test_cells_are_text_and_never_markup() -> None:
    assert "[red]x[/red]" in _shown({"rows": [{"[b]": "[red]x[/red]"}]})


def test_columns_without_a_value_are_left_out() -> None:
    said = _shown({"rows": [{"a": 1, "b": None, "c": {}}]})
    assert said.split()[:2] == ["a", "1"]


def test_an_object_on_a_line_hides_nothing_that_it_has() -> None:
    said = _shown({"configuration": {"hold": True, "note": None, "retention": {"days": 3}}, "names": {"a": ["b"]}})
    assert said.splitlines() == ['configuration hold true, retention {"days": 3}', 'names {"a": ["b"]}']


def test_rows_whose_names_would_not_fit_begin_with_them() -> None:
    row = {f"column_{number}": "x" * 20 for number in range(9)}
    assert _shown({"rows": [row | {"id": "ann"}]}).split()[:2] == ["id", "column_0"]
    assert _shown({"passages": [row | {"text": "Late is late."}]}).split()[:2] == ["text", "column_0"]
    assert _shown({"rows": [{"carrier": "UA", "id": "7"}]}).split()[:2] == ["carrier", "id"]
