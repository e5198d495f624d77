from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from ddad_core.errors import RefusedImageError
from ddad_core.imaging import read_radiograph
from ddad_core.imaging import sandbox as sandbox_module
from ddad_core.imaging.prepare import Keeping, Wanted, prepare
from ddad_core.imaging.rooms import ROOMS, RoomMemory, map_rooms, memory_file
from ddad_core.imaging.sandbox import Sandbox, SandboxError
from ddad_core.imaging.sandbox_messages import BrokenMessageError, Message, answer, answered
from tests.core.imaging.fuzz_seeds import dicom

REPOSITORY = Path(__file__).resolve().parents[3]
DEMO = REPOSITORY / "data" / "demo"
ALL = Wanted(sizes=(64, 128), display=True, thumbnail=True, keep=Keeping(b"k" * 32, "Site"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(2) as one:
        yield one


@pytest.fixture(scope="module")
def png() -> bytes:
    return (DEMO / "00000150_002.png").read_bytes()


def processes(sandbox: Sandbox) -> set[int]:
    return {child._process.pid for child in sandbox._all}


def test_the_child_shrinks_what_is_shown(sandbox: Sandbox, png: bytes) -> None:
    wanted = Wanted(display=True, display_side=200)
    there, here = sandbox.prepare(png, wanted).display, prepare(png, wanted).display
    assert there and here and vars(there) == vars(here)
    assert max(there.width, there.height) == 200


@pytest.mark.parametrize("name", ["00000150_002.png", "nih_dx_pa.dcm"])
def test_the_child_makes_what_this_process_would(sandbox: Sandbox, name: str) -> None:
    data = (DEMO / name).read_bytes()
    there, here = sandbox.prepare(data, ALL), prepare(data, ALL)
    for field in ("sha256", "facts", "windows", "warnings", "width", "height", "thumbnail"):
        assert getattr(there, field) == getattr(here, field), field
    assert there.grey.keys() == {64, 128}
    for size, grey in here.grey.items():
        np.testing.assert_array_equal(there.grey[size], grey)
    assert there.display and here.display and there.kept and here.kept
    assert vars(there.display) == vars(here.display)
    assert vars(there.kept) == vars(here.kept)


def test_nothing_unasked_is_sent(sandbox: Sandbox, png: bytes) -> None:
    found = sandbox.prepare(png, Wanted())
    assert (found.grey, found.display, found.thumbnail, found.kept) == ({}, None, b"", None)


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_refusal_is_the_readers_own(sandbox: Sandbox, data: bytes) -> None:
    with pytest.raises(RefusedImageError) as here:
        read_radiograph(data)
    before = processes(sandbox)
    with pytest.raises(RefusedImageError) as there:
        sandbox.prepare(data, ALL)
    assert str(there.value) == str(here.value)
    assert processes(sandbox) == before


def test_a_child_is_used_again(png: bytes) -> None:
    with Sandbox(1) as sandbox:
        sandbox.prepare(png, Wanted())
        first = processes(sandbox)
        for _ in range(5):
            sandbox.prepare(png, Wanted())
        assert processes(sandbox) == first and len(first) == 1


def test_files_are_read_at_the_same_time_without_mixing_answers(sandbox: Sandbox) -> None:
    files = [path.read_bytes() for path in sorted(DEMO.glob("*.png"))[:6]]
    wanted = Wanted(sizes=(64,))
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda data: sandbox.prepare(data, wanted), files))
    for data, prepared in zip(files, found, strict=True):
        np.testing.assert_array_equal(prepared.grey[64], prepare(data, wanted).grey[64])


def test_more_memory_than_a_radiograph_needs_is_refused(sandbox: Sandbox, png: bytes) -> None:
    with pytest.raises(RefusedImageError, match="memory|damaged"):
        sandbox.prepare(png, Wanted(sizes=(60_000,)))
    assert sandbox.prepare(png, Wanted()).width == 1024


def test_a_child_that_dies_costs_its_file_and_no_other(png: bytes) -> None:
    with Sandbox(1) as sandbox:
        sandbox.prepare(png, Wanted())
        (pid,) = processes(sandbox)
        (child,) = sandbox._all
        send = child._write

        def send_and_kill(data: bytes) -> None:
            send(data)
            os.kill(pid, signal.SIGSEGV)

        child._write = send_and_kill
        with pytest.raises(RefusedImageError, match="brings its reader down") as caught:
            sandbox.prepare(png, Wanted())
        assert caught.value.next_step
        assert sandbox.prepare(png, Wanted()).width == 1024
        assert pid not in processes(sandbox)


def test_a_file_that_takes_too_long_is_refused(png: bytes) -> None:
    patience = iter([60.0, 0.0, 60.0])
    with Sandbox(1, seconds=lambda size: next(patience)) as sandbox:
        sandbox.prepare(png, Wanted())
        before = processes(sandbox)
        with pytest.raises(RefusedImageError, match="longer than a radiograph needs"):
            sandbox.prepare(png, ALL)
        assert sandbox.prepare(png, Wanted()).width == 1024
        assert not before & processes(sandbox)


def test_the_system_ends_a_child_that_uses_up_its_processor_time() -> None:
    program = (
        "from ddad_core.imaging.sandbox_child import limit_time\nlimit_time(0)\nwhile True: pass"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, timeout=60)
    assert done.returncode == -signal.SIGXCPU
    assert time.monotonic() - started < 30


def test_a_child_writes_no_file(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from ddad_core.imaging.sandbox_child import limit_this_process\n"
        "limit_this_process()\n"
        f"Path({str(tmp_path / 'x')!r}).write_bytes(b'patient')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, timeout=60)
    assert done.returncode != 0
    assert not (tmp_path / "x").exists() or (tmp_path / "x").stat().st_size == 0


def test_children_end_with_their_keeper(png: bytes) -> None:
    program = (
        "import os, sys\n"
        "from ddad_core.imaging.sandbox import Sandbox\n"
        "from ddad_core.imaging.prepare import Wanted\n"
        "s = Sandbox(1)\n"
        "s.prepare(open(sys.argv[1], 'rb').read(), Wanted())\n"
        "print(*[c._process.pid for c in s._all], flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    path = DEMO / "00000150_002.png"
    done = subprocess.run(
        [sys.executable, "-c", program, path], cwd=REPOSITORY, capture_output=True, timeout=60
    )
    (pid,) = map(int, done.stdout.split())
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.05)
    pytest.fail("The child is still there.")


def test_closing_ends_the_children(png: bytes) -> None:
    sandbox = Sandbox(2)
    sandbox.warm_up()
    found = processes(sandbox)
    assert len(found) == 2
    sandbox.close()
    assert all(not Path(f"/proc/{pid}").exists() for pid in found)


def test_the_next_user_waits_for_a_free_child_not_for_ever(png: bytes) -> None:
    with Sandbox(1) as sandbox:
        results: list[int] = []
        threads = [
            threading.Thread(target=lambda: results.append(sandbox.prepare(png, Wanted()).width))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert results == [1024] * 4


def test_a_refused_file_that_leaves_its_child_large_costs_no_other_file(png: bytes) -> None:
    """The child says that it leaves; the next file must not find it gone."""
    with Sandbox(1) as sandbox:
        sandbox.prepare(png, Wanted())
        before = processes(sandbox)
        (child,) = sandbox._all
        original = child.exchange

        def leaving(request: Message, seconds: float) -> Message:
            reply = original(request, seconds)
            child._process.kill()
            return Message({**reply.head, "leaving": True}, reply.blobs)

        child.exchange = leaving
        with pytest.raises(RefusedImageError, match="text file"):
            sandbox.prepare(b"not an image", Wanted())
        assert sandbox.prepare(png, Wanted()).width == 1024
        assert not before & processes(sandbox)


def test_a_child_that_ended_between_two_files_is_replaced_unnoticed(png: bytes) -> None:
    with Sandbox(1) as sandbox:
        sandbox.prepare(png, Wanted())
        (child,) = sandbox._all
        child._process.kill()
        child._process.wait(5)
        assert sandbox.prepare(png, Wanted()).width == 1024


def test_an_odd_high_bit_is_the_same_for_reading_and_for_keeping() -> None:
    data = dicom(ExplicitVRLittleEndian, HighBit=40)
    kept = prepare(data, ALL).kept
    assert kept
    np.testing.assert_array_equal(read_radiograph(kept.data).pixels, read_radiograph(data).pixels)


def test_a_child_cannot_cut_the_memory_off_that_its_keeper_looks_at(sandbox: Sandbox) -> None:
    for place in sandbox._places:
        assert place.handle is not None
        with pytest.raises(PermissionError):
            os.ftruncate(place.handle, 0)


def test_without_shared_memory_files_go_by_the_pipe(png: bytes, monkeypatch) -> None:
    monkeypatch.setattr(sandbox_module, "memory_file", lambda: None)
    dicom_file = (DEMO / "nih_dx_pa.dcm").read_bytes()
    with Sandbox(1) as sandbox:
        for data in (png, dicom_file):
            there, here = sandbox.prepare(data, ALL), prepare(data, ALL)
            assert there.kept and here.kept and vars(there.kept) == vars(here.kept)
            np.testing.assert_array_equal(there.grey[64], here.grey[64])


def test_memory_is_not_shared_where_it_cannot_be_sealed(monkeypatch) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(fcntl, "fcntl", lambda *_: os.ftruncate(-1, 0))
    assert memory_file() is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_who_waits_for_a_room_learns_that_the_sandbox_is_closed() -> None:
    sandbox = Sandbox(1)
    found: list[BaseException] = []

    def wait() -> None:
        try:
            with sandbox.room():
                pass
        except SandboxError as error:
            found.append(error)

    with contextlib.ExitStack() as stack:
        for _ in range(ROOMS):
            stack.enter_context(sandbox.room())
        waiting = threading.Thread(target=wait)
        waiting.start()
        sandbox.close()
        sandbox.close()
        waiting.join(10)
    assert len(found) == 1 and "ending" in str(found[0])


def test_a_file_goes_where_nothing_else_is_read(sandbox: Sandbox) -> None:
    for place in sandbox._places:
        with place.busy, sandbox.room() as room:
            assert room.place is not place


def test_after_an_error_nobody_foresaw_the_next_file_has_another_child(
    png: bytes, monkeypatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    with Sandbox(1) as sandbox:
        sandbox.prepare(png, Wanted())
        before = processes(sandbox)
        with monkeypatch.context() as patch:
            patch.setattr("ddad_core.imaging.sandbox_messages.receive", fail)
            with pytest.raises(MemoryError):
                sandbox.prepare(png, Wanted())
        assert sandbox.prepare(png, Wanted()).width == 1024
        assert not before & processes(sandbox)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": [float("inf"), 3]},
        {"size": None},
        {"shared": 2**40},
        {"refused": 1},
        {"refused": ["one"]},
        {"grey": [64]},
        {"kept": {}},
    ],
)
def test_an_answer_that_is_none_is_a_broken_message(png: bytes, wrong: dict) -> None:
    memory = RoomMemory(map_rooms(None), 0)
    said = answer(prepare(png, Wanted(sizes=(8,), keep=ALL.keep)), memory)
    blobs = tuple(bytes(blob) for blob in said.blobs)
    head = json.loads(json.dumps(said.head))
    assert answered(Message(dict(head), blobs), memory).width == 1024
    with pytest.raises(BrokenMessageError):
        answered(Message({**head, **wrong}, blobs), memory)


def test_a_file_for_which_earlier_ones_left_too_little_memory_is_read_by_a_fresh_child(
    png: bytes,
) -> None:
    with Sandbox(1) as sandbox:
        sandbox.prepare(png, Wanted())
        before = processes(sandbox)
        (child,) = sandbox._all
        refused = ["Reading the file takes more memory than a radiograph needs.", ""]
        child.exchange = lambda *_: Message({"refused": refused, "memory": True})
        assert sandbox.prepare(png, Wanted()).width == 1024
        assert not before & processes(sandbox)
        (fresh,) = sandbox._all
        assert fresh.files == 1
