from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib

import pytest

from ddad_core.errors import RefusedImageError
from ddad_core.imaging import archive as module
from ddad_core.imaging.archive import Archive, is_archive


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return out.getvalue()


def only(data: bytes) -> module.Entry:
    (entry,) = Archive(data).entries()
    return entry


def refusal(data: bytes) -> str:
    with pytest.raises(RefusedImageError) as caught:
        for entry in Archive(data).entries():
            entry.read()
    assert caught.value.next_step
    return caught.value.problem


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_entries_come_back_as_they_were_put_in(method: int) -> None:
    files = {"a.dcm": b"one" * 999, "deep/b.png": b"two", "empty": b""}
    data = packed(files, method)
    assert is_archive(data[:4])
    assert {e.name: e.read() for e in Archive(data).entries()} == files


def test_hidden_files_and_folders_are_passed_over() -> None:
    names = (".hidden", "a/.DS_Store", "__MACOSX/a/x", ".git/config", "a/b")
    assert [e.name for e in Archive(packed(dict.fromkeys(names, b"x"))).entries()] == ["a/b"]


def test_a_name_that_leads_out_of_the_archive_is_only_a_name(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = packed({"../../etc/passwd": b"x", "/abs": b"y", "C:\\w": b"z"})
    assert [e.read() for e in Archive(data).entries()] == [b"x", b"y", b"z"]
    assert list(tmp_path.iterdir()) == [] and not (tmp_path.parent / "etc").exists()


def test_a_name_is_shown_in_printable_characters() -> None:
    name = only(packed({"a\x1b[31m\nb": b"x"})).name
    assert name.isprintable() and "a" in name and "b" in name


def test_an_entry_that_grows_too_much_is_refused_before_it_is_unpacked(monkeypatch) -> None:
    data = packed({"bomb": bytes(30 * 2**20)})
    assert len(data) < 40_000
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *a: pytest.fail("unpacked"))
    assert "grows 1" in refusal(data)


def test_an_entry_that_lies_of_its_size_gets_no_further_than_the_limit(monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1000)
    monkeypatch.setattr("ddad_core.imaging.limits.MAX_FILE_BYTES", 1000)
    data = bytearray(packed({"x": bytes(range(256)) * 20}))
    honest = struct.pack("<I", 5120)
    while (at := data.find(honest)) >= 0:
        data[at : at + 4] = struct.pack("<I", 900)
    problem = refusal(bytes(data))
    assert "damaged" in problem or "MB at most" in problem


def test_overlapping_entries_are_refused() -> None:
    """One packed kernel under many names: a small archive that grows without end."""
    content = random.Random(1).randbytes(2000)
    packer = zlib.compressobj(wbits=-15)
    kernel, check = packer.compress(content) + packer.flush(), zlib.crc32(content)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, check, len(kernel), 2000, 1, 0)
    body = local + b"a" + kernel
    central = b""
    for i in range(200):
        name = f"{i:03d}".encode()
        central += struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, check, len(kernel), 2000,
            len(name), 0, 0, 0, 0, 0, 0,
        ) + name  # fmt: skip
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 200, 200, len(central), len(body), 0)
    data = body + central + end
    assert zipfile.ZipFile(io.BytesIO(data)).infolist()[199].file_size == 2000
    assert "overlap" in refusal(data)


def test_too_many_entries_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    assert "has 4 files; 3 at most" in refusal(packed({str(i): b"" for i in range(4)}))


def test_too_much_in_all_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL_BYTES", 100)
    assert "grows to" in refusal(packed({"a": b"x" * 60, "b": b"y" * 60}))


@pytest.mark.parametrize("cut", [3, 10, 40, -1, -10])
def test_a_cut_archive_is_refused(cut: int) -> None:
    whole = packed({"a.dcm": b"abc" * 100})
    assert "damaged or cut short" in refusal(whole[:cut])


def test_a_damaged_entry_is_refused_and_the_others_are_read() -> None:
    data = bytearray(packed({"a": bytes(range(256)) * 50, "b": b"whole"}, zipfile.ZIP_STORED))
    data[200] ^= 0xFF
    first, second = Archive(bytes(data)).entries()
    with pytest.raises(RefusedImageError, match="damaged"):
        first.read()
    assert second.read() == b"whole"


def test_an_encrypted_entry_is_refused() -> None:
    data = bytearray(packed({"a": b"abc" * 100}))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.find(signature) + offset] |= 1
    assert "encrypted" in refusal(bytes(data))


def test_an_archive_in_an_archive_is_refused() -> None:
    assert "an archive itself" in refusal(packed({"inner.zip": packed({"a": b"x"})}))


def test_an_office_document_is_called_one() -> None:
    assert "office document" in refusal(packed({"[Content_Types].xml": b"<x/>", "word/a": b""}))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_cannot_be_unpacked_within_a_limit_is_refused(method: int, monkeypatch) -> None:
    data = packed({"bomb": bytes(2**20)}, method)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *a: pytest.fail("unpacked"))
    assert "packed by a method" in refusal(data)


@pytest.mark.parametrize("zip64", [False, True])
def test_entries_are_counted_before_they_are_read(zip64: bool, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    data = packed({str(i): b"" for i in range(5)})
    if zip64:
        at = data.rfind(b"PK\5\6")
        central = data.find(b"PK\1\2")
        end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 5, 5, at - central, central)
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
        short = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
        data = data[:at] + end + locator + short
        assert len(zipfile.ZipFile(io.BytesIO(data)).infolist()) == 5
    monkeypatch.setattr(zipfile, "ZipFile", lambda *a: pytest.fail("read"))
    assert "has 5 files; 3 at most" in refusal(data)
