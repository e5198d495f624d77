from __future__ import annotations

import os

import pytest

from ddad_core.errors import RefusedImageError, RequestError
from ddad_core.imaging.sources import sources_in, sources_of
from tests.core.imaging.test_archive import packed


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.png").write_bytes(b"1")
    (tmp_path / "b" / "in.zip").write_bytes(packed({"x": b"2", "y/z": b"3"}))
    (tmp_path / "b" / "last").write_bytes(b"4")
    return tmp_path


def test_files_folders_and_archives_are_walked_in_order(inbox) -> None:
    found = [(s.name.removeprefix(f"{inbox}/"), s.read()) for s in sources_of([inbox])]
    assert found == [
        ("a.png", b"1"),
        ("b/in.zip/x", b"2"),
        ("b/in.zip/y/z", b"3"),
        ("b/last", b"4"),
    ]


def test_an_archive_is_known_by_its_content_not_its_name(inbox) -> None:
    (inbox / "b" / "in.zip").rename(inbox / "b" / "in.dcm")
    assert [s.read() for s in sources_of([inbox / "b" / "in.dcm"])] == [b"2", b"3"]


def test_identities_differ_and_follow_the_content(inbox) -> None:
    before = [s.identity for s in sources_of([inbox])]
    assert len(set(before)) == 4
    assert [s.identity for s in sources_of([inbox])] == before
    (inbox / "a.png").write_bytes(b"other")
    (inbox / "b" / "in.zip").write_bytes(packed({"x": b"changed", "y/z": b"3"}))
    after = [s.identity for s in sources_of([inbox])]
    assert all(new != old for new, old in zip(after[:3], before[:3], strict=True))
    assert after[3] == before[3]
    assert str(inbox) not in "".join(after)


def test_a_damaged_archive_is_one_refused_source(inbox) -> None:
    (inbox / "b" / "in.zip").write_bytes(packed({"x": b"2"})[:-4])
    sources = list(sources_of([inbox / "b" / "in.zip"]))
    assert len(sources) == 1
    with pytest.raises(RefusedImageError, match="damaged"):
        sources[0].read()


def test_an_empty_archive_is_told(inbox) -> None:
    (source,) = sources_in("empty.zip", packed({}))
    with pytest.raises(RefusedImageError, match="holds no file"):
        source.read()


def test_what_is_handed_over_is_itself_or_an_archives_files() -> None:
    (alone,) = sources_in("a.png", b"\x89PNG")
    assert (alone.name, alone.read()) == ("a.png", b"\x89PNG")
    assert [s.name for s in sources_in("u.zip", packed({"p": b"", "q": b""}))] == [
        "u.zip/p",
        "u.zip/q",
    ]


def test_a_path_that_is_not_there_is_an_error(tmp_path) -> None:
    with pytest.raises(RequestError, match="no file or folder"):
        list(sources_of([tmp_path / "none"]))


def test_what_is_no_file_is_refused_unread(tmp_path) -> None:
    os.mkfifo(tmp_path / "a-pipe.dcm")
    (tmp_path / "b-zeros.dcm").symlink_to("/dev/zero")
    (tmp_path / "c-nowhere.dcm").symlink_to(tmp_path / "none")
    (tmp_path / "d-loop").symlink_to(tmp_path / "d-loop")
    (tmp_path / "good").write_bytes(b"1")
    *odd, good = sources_of([tmp_path])
    assert good.read() == b"1" and len(odd) == 4
    for source, words in zip(
        odd, ("a pipe", "a device", "cannot be opened", "cannot be"), strict=True
    ):
        with pytest.raises(RefusedImageError, match=words) as caught:
            source.read()
        assert caught.value.next_step and str(tmp_path) not in str(caught.value)


def test_a_file_that_grows_is_read_no_further_than_the_limit(tmp_path, monkeypatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1" * 100)
    monkeypatch.setattr("ddad_core.imaging.sources.check_file_size", lambda path: None)
    monkeypatch.setattr("ddad_core.imaging.sources.MAX_FILE_BYTES", 10)
    monkeypatch.setattr("ddad_core.imaging.limits.MAX_FILE_BYTES", 10)
    (source,) = sources_of([path])
    with pytest.raises(RefusedImageError, match="at most"):
        source.read()


def test_any_name_can_be_shown_and_written(tmp_path) -> None:
    for name in (b"bad\xff.png", b"two\nlines", b"red\x1b[31m"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"1")
    sources = list(sources_of([tmp_path]))
    assert len(sources) == 3
    for source in sources:
        assert source.name.isprintable() and source.name.encode("utf-8")
        assert source.read() == b"1" and len(source.identity) == 64
