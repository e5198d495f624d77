from __future__ import annotations

import pytest

from ddad_core.journal import Journal

HEAD = {"version": 1}


def write(path, rows, head=HEAD):
    journal = Journal(path, head)
    found = list(journal.resume([]))
    assert found == []
    journal.write(rows)
    journal.close()


def test_lines_come_back_for_the_same_files_in_the_same_order(tmp_path) -> None:
    path = tmp_path / "deep" / "j"
    write(path, [("a", {"n": 1}), ("b", {"n": 2})])
    journal = Journal(path, HEAD)
    assert list(journal.resume("abc")) == [{"n": 1}, {"n": 2}]
    journal.write([("c", {"n": 3})])
    assert [row["n"] for row in journal.read()] == [1, 2, 3]
    journal.remove()
    assert not path.exists()


@pytest.mark.parametrize(("files", "kept"), [("abX", 2), ("Xbc", 0), ("a", 1), ("", 0)])
def test_lines_from_the_first_that_does_not_fit_are_cut_off(tmp_path, files, kept) -> None:
    path = tmp_path / "j"
    write(path, [(name, {"n": name}) for name in "abc"])
    journal = Journal(path, HEAD)
    assert len(list(journal.resume(files))) == kept
    journal.write([("z", {"n": "z"})])
    assert [row["n"] for row in journal.read()] == [*"abc"[:kept], "z"]
    journal.close()


def test_a_line_cut_by_a_kill_is_done_again(tmp_path) -> None:
    path = tmp_path / "j"
    write(path, [("a", {"n": 1}), ("b", {"n": 2})])
    path.write_bytes(path.read_bytes()[:-4])
    journal = Journal(path, HEAD)
    assert list(journal.resume("ab")) == [{"n": 1}]
    journal.write([("b", {"n": 2})])
    assert [row["n"] for row in journal.read()] == [1, 2]
    journal.close()


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b'{"version": 0}\n{"id": "a"}\n', b"\xff"])
def test_another_journal_is_begun_anew(tmp_path, content) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    journal = Journal(path, HEAD)
    assert list(journal.resume("a")) == []
    journal.write([("a", {"n": 1})])
    assert list(journal.read()) == [{"n": 1}]
    journal.close()


def test_nothing_to_go_on_from_leaves_nothing(tmp_path) -> None:
    path = tmp_path / "j"
    journal = Journal(path, HEAD)
    list(journal.resume("abc"))
    journal.close()
    assert not path.exists()
