from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ddad_core.errors import RefusedImageError
from ddad_core.imaging import limits, sources
from ddad_core.imaging import sandbox as sandbox_module
from ddad_core.imaging.desk import take_up
from ddad_core.imaging.prepare import Keeping, Wanted, prepare
from ddad_core.imaging.rooms import ROOMS
from ddad_core.imaging.sandbox import Sandbox
from ddad_core.imaging.sources import BytesSource, FileSource

GALLERY = Path(__file__).parents[3] / "data" / "demo"
KEEP = Wanted(sizes=(64,), thumbnail=True, keep=Keeping(bytes(32)))


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(1) as found:
        yield found


def test_one_desk_serves_one_file_after_the_other(sandbox) -> None:
    for path in (GALLERY / "nih_dx_pa.dcm", GALLERY / "nih_dx_ap.dcm"):
        data = path.read_bytes()
        expected = prepare(data, KEEP)
        for source in (FileSource(path), BytesSource("", data)):
            with take_up(sandbox, source) as desk:
                assert bytes(desk.file) == data
                assert desk.sha256() == hashlib.sha256(data).hexdigest()
                found = desk.prepare(KEEP)
                assert bytes(found.kept.data) == expected.kept.data
                assert found.kept.pixel_sha256 == expected.kept.pixel_sha256
                assert (found.grey[64] == expected.grey[64]).all()


def test_two_at_a_time_have_a_desk_each(sandbox, tmp_path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode() * 10)
    with (
        take_up(sandbox, FileSource(tmp_path / "a")) as a,
        take_up(sandbox, FileSource(tmp_path / "b")) as b,
    ):
        assert bytes(a.file) == b"a" * 10
        assert bytes(b.file) == b"b" * 10


def test_a_file_over_the_limit_is_refused_wherever_it_comes_from(sandbox, monkeypatch) -> None:
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", 1000)
    with pytest.raises(RefusedImageError, match="MB at most"):
        with take_up(sandbox, BytesSource("", bytes(1001))):
            pass


def held(sandbox: Sandbox) -> int:
    """Bytes of the memory that rooms are in."""
    return os.fstat(sandbox._places[0].handle).st_blocks * 512


def test_a_large_file_and_a_failed_one_leave_no_memory_held(sandbox, monkeypatch) -> None:
    source = FileSource(GALLERY / "nih_dx_pa.dcm")
    with take_up(sandbox, source):
        pass
    assert held(sandbox) >= source.path.stat().st_size  # ready for the next
    for _ in range(ROOMS):
        with pytest.raises(ZeroDivisionError), take_up(sandbox, source):
            raise ZeroDivisionError
    assert len(sandbox._places[0].free) == ROOMS
    monkeypatch.setattr(sandbox_module, "LARGE", 1000)
    with take_up(sandbox, source), take_up(sandbox, source), take_up(sandbox, source):
        assert held(sandbox) > 0
    assert held(sandbox) == 0


def test_a_file_that_grows_is_laid_down_no_further_than_the_limit(
    sandbox, tmp_path, monkeypatch
) -> None:
    path = tmp_path / "grows"
    path.write_bytes(bytes(5000))
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 1000)
    monkeypatch.setattr(sources, "check_file_size", lambda path: None)  # it was smaller then
    asked = []

    def check(size):
        asked.append(size)
        msg = "too large"
        raise RefusedImageError(msg, "")

    monkeypatch.setattr(sources, "check_size_in_bytes", check)
    with pytest.raises(RefusedImageError), take_up(sandbox, FileSource(path)):
        pass
    assert asked == [1001]
