from __future__ import annotations

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
from ddad_core.imaging.prepare import Keeping, Wanted, prepare
from ddad_core.imaging.sandbox import Sandbox
from ddad_core.imaging.sandbox_messages import Message
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
