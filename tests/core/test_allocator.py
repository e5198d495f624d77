"""Measured in processes of their own: what the allocator is told holds for a whole process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tests.core.synthetic import REPOSITORY

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")

PROGRAM = """
import ctypes, os, sys
from ddad_core import allocator

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def block(size):
    start = libc.malloc(size)
    ctypes.memset(start, 1, size)
    return start

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def freed():
    '''MB still resident of 160 MB that were freed between small blocks in use.'''
    before = resident()
    large = []
    for _ in range(20):
        large.append(block(8 * 2**20))
        block(4096)
    held = resident() - before
    assert held > 150, held
    for start in large:
        libc.free(start)
    return resident() - before

# A large block that was freed is what makes glibc keep all that come after it.
libc.free(block(16 * 2**20))
"""


def numbers(program: str) -> list[float]:
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", PROGRAM + program],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return [float(word) for word in done.stdout.split()]


def test_freed_arrays_are_given_back_only_when_asked() -> None:
    (untold,) = numbers("print(freed())")
    (told,) = numbers("allocator.give_back_large_blocks(); print(freed())")
    assert untold > 150
    assert told < 10


def test_kept_arrays_are_given_back_by_a_trim() -> None:
    program = (
        "allocator.keep_freed_blocks(256 * 2**20); before = resident(); kept = freed(); "
        "allocator.trim(); print(kept, resident() - before)"
    )
    kept, trimmed = numbers(program)
    assert kept > 150
    assert trimmed < 10


REST = """
from ddad_core.imaging import sandbox_child
sandbox_child.REST_SECONDS = 0.05
allocator.keep_freed_blocks(256 * 2**20)
out, into = os.pipe()
requests = os.fdopen(out, "rb")
before = resident()
freed()
os.write(into, b"file")
sandbox_child._rest(requests)
busy = resident() - before
assert requests.read(4) == b"file"
sandbox_child._rest(requests)
print(busy, resident() - before)
"""


def test_a_reader_of_files_gives_memory_back_only_when_no_file_is_waiting() -> None:
    busy, resting = numbers(REST)
    assert busy > 150
    assert resting < 10
