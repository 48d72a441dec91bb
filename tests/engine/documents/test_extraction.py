"""Files of every format as passages, and files that want to do harm: each read by the real process."""

import asyncio
import io
import resource
import zlib
from pathlib import Path

import pytest

from core.context import Cancellation
from core.errors import Cancelled, Conflict
from engine.documents.blocks import Unreadable, cut_passages
from engine.documents.child import find_reader
from engine.documents.extraction import Extracted, extract
from engine.documents.formats import find_format
from tests.engine.documents import files


async def ignore(count: int) -> None:
    pass


async def read(folder: Path, data: bytes, name: str, wanted: str = "") -> Extracted:
    path = folder / "upload"
    path.write_bytes(data)
    return await extract(path, name, wanted, Cancellation(), ignore)


async def test_a_pdf_is_cited_by_its_pages(tmp_path: Path) -> None:
    found = await read(tmp_path, files.pdf("Refunds take ten days.", "", "Parcels (small) ship daily."), "a.pdf")
    assert (found.format, found.page_count) == ("pdf", 3)
    assert [(item.page, item.text) for item in found.passages] == [
        (1, "Refunds take ten days."),
        (3, "Parcels (small) ship daily."),
    ]


async def test_a_docx_keeps_headings_of_any_language_pages_and_tables(tmp_path: Path) -> None:
    data = files.docx(
        ("Ueberschrift1", "Reisen"), ("", "Wer reist, bucht selbst."), ("page", ""), ("", "Zug vor Flug."),
        rows=(("Stadt", "Satz"), ("Wien", "113")),
    )  # fmt: skip
    found = await read(tmp_path, data, "regeln.docx")
    texts = [(item.page, item.headings, item.text) for item in found.passages]
    assert texts[0] == (1, ("Reisen",), "Reisen\nWer reist, bucht selbst.")
    assert texts[1] == (2, ("Reisen",), "Zug vor Flug.\nStadt | Satz\nWien | 113")


async def test_html_gives_what_people_read_and_no_script(tmp_path: Path) -> None:
    data = (
        b"<html><head><title>t</title><script>steal()</script></head><body><h1>Rules</h1><p>Be <b>kind</b>.</p>"
        b"<style>p{}</style><iframe src='http://127.0.0.1/'>frame</iframe><h2>More</h2><ul><li>one<li>two</ul>"
        b"<p onclick='steal()'>caf\xc3\xa9</p><template><p>ghost</p></template></body></html>"
    )
    found = await read(tmp_path, data, "rules.html")
    text = " ".join(item.text for item in found.passages)
    assert [item.headings for item in found.passages] == [("Rules",), ("Rules", "More")]
    assert "Be kind ." in text and "café" in text and "two" in text
    assert not {word for word in ("steal", "frame", "ghost", "p{}") if word in text}


async def test_markdown_has_headings_and_csv_names_its_columns(tmp_path: Path) -> None:
    found = await read(tmp_path, b"# A\n\none\n\n## B\n\ntwo\n```\n# no heading\n```\n", "a.md")
    assert [item.headings for item in found.passages] == [("A",), ("A", "B")]
    assert "# no heading" in found.passages[1].text
    found = await read(tmp_path, "name;city\nAda;Köln\nBob;\n".encode("cp1252"), "people.csv")
    assert [item.text for item in found.passages] == ["name: Ada; city: Köln\nname: Bob"]


async def test_long_texts_are_cut_at_sentences(tmp_path: Path) -> None:
    found = await read(tmp_path, b"This is a sentence of some words. " * 400, "a.txt")
    assert len(found.passages) > 8
    assert all(len(item.text) <= 1300 and item.text.endswith(".") for item in found.passages)


REFUSED = {
    "an empty file": (b"", "a.pdf", "empty"),
    "blanks": (b" \r\n\t\n", "a.txt", "empty"),
    "a PDF called text": (files.pdf("x"), "a.txt", "but it is pdf"),
    "a text called PDF": (b"plain words", "a.pdf", "but it is not"),
    "a text called DOCX": (b"plain words", "a.docx", "but it is not"),
    "an archive": (files.archive({"a.txt": b"x"}), "a.docx", "not DOCX"),
    "a broken archive": (b"PK\x03\x04garbage", "a.docx", "broken"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "a.md", "picture"),
    "bytes": (bytes(range(256)), "a.txt", "not text"),
    "a scan": (files.pdf("", ""), "a.pdf", "no text, only pictures"),
    "a broken PDF": (b"%PDF-1.7\n" + b"garbage " * 50, "a.pdf", "broken"),
    "a page tree without end": (files.endless_pdf(), "a.pdf", "broken|text"),
    "entities in DOCX": (files.docx(("", "&j;&x;"), start=files.ENTITIES), "a.docx", "document type"),
    "HTML without a word": (b"<html><body><script>x</script></body></html>", "a.html", "no text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_reason(case: str) -> None:
    data, name, reason = REFUSED[case]
    with pytest.raises(Unreadable, match=reason) as error:
        read_here(data, name)
    assert "Traceback" not in str(error.value)


def read_here(data: bytes, name: str) -> None:
    file = io.BytesIO(data)
    if not list(cut_passages(find_reader(find_format(file, name))(file))):
        raise Unreadable("no text")


async def test_an_encrypted_pdf_is_refused_and_so_is_a_file_without_text(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="The PDF is encrypted; save it without a password"):
        await read(tmp_path, files.encrypted_pdf(), "a.pdf")
    with pytest.raises(Conflict, match="no text"):
        await read(tmp_path, b"<html><body><script>x</script></body></html>", "a.html")


async def test_an_archive_bomb_is_never_unpacked(tmp_path: Path) -> None:
    data = await asyncio.to_thread(files.bomb_docx, 300)
    assert len(data) < 2**20
    with pytest.raises(Conflict, match="bomb"):
        await read(tmp_path, data, "a.docx")


async def test_a_pdf_page_that_unpacks_to_a_gigabyte_harms_its_own_process_alone(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    packer = zlib.compressobj(9)
    bomb = b"".join([*(packer.compress(b"0 0 m " * 2**17) for _ in range(1300)), packer.flush()])
    plain = files.pdf("x")
    start = plain.index(b"<< /Length")
    end = plain.index(b"endstream") + len(b"endstream")
    head = b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(bomb)
    with pytest.raises(Conflict):
        await read(tmp_path, plain[:start] + head + bomb + b"\nendstream" + plain[end:], "a.pdf")
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 100 * 1024


async def test_entities_in_html_are_not_expanded_and_no_file_is_read(tmp_path: Path) -> None:
    data = b'<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><html><body><p>a &x; b</p></body></html>'
    found = await read(tmp_path, data, "a.html")
    assert "root:" not in " ".join(item.text for item in found.passages)


async def test_reading_can_be_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"Many words.\n\n" * 3_000_000)
    cancelled = Cancellation()
    reading = asyncio.create_task(extract(path, "a.txt", "", cancelled, ignore))
    await asyncio.sleep(0.2)
    cancelled.set()
    with pytest.raises(Cancelled):
        await reading
