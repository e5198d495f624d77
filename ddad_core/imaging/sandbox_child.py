"""`python -m ddad_core.imaging.sandbox_child`: reads untrusted files for a sandbox, one by one.

Limits are set on this process, so that a file can at worst end it, and only it.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ddad_core import allocator
from ddad_core.errors import RefusedImageError
from ddad_core.imaging import sandbox_messages as messages
from ddad_core.imaging.limits import MAX_GROWTH_BYTES
from ddad_core.imaging.prepare import prepare
from ddad_core.imaging.rooms import ROOMS, RoomMemory, map_rooms

try:
    import resource
except ImportError:  # Windows has no such limits; there a time limit alone holds
    resource = None  # type: ignore[assignment]

KEPT_FREE = 128 * 2**20
"""Bytes of freed memory that a process holds ready for the next file."""

REST_SECONDS = 5.0
"""After so long without a file, the next is not part of a batch, and the memory is given back."""

RESIDENT_AFTER_WORK = 400 * 2**20
"""Bytes; a process that stays larger than this after a file is followed by a fresh one."""


def main() -> int:
    """Answer requests until the keeper closes the pipe."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # decoders write to the last two, and may quote the file
        os.dup2(nowhere, stream)
    warnings.simplefilter("ignore")  # pydicom's quote values of the header
    handle = int(sys.argv[-1])
    memory = None if handle < 0 else map_rooms(handle)
    rooms = [RoomMemory(memory, number) for number in range(ROOMS)] if memory else []
    _load_decoders()
    allocator.keep_freed_blocks(KEPT_FREE)
    limit_this_process()
    write = partial(_write_all, answers)
    messages.send(messages.Message({"ready": True}), write)
    while True:
        _rest(requests)
        try:
            request = messages.receive(partial(messages.read_exactly, requests))
        except messages.BrokenMessageError:
            return 0
        reply = _reply(request, rooms)
        del request
        leaving = bool(reply.head.get("memory")) or _resident() > RESIDENT_AFTER_WORK
        head = {**reply.head, "leaving": leaving}
        messages.send(messages.Message(head, reply.blobs), write)
        if leaving:
            return 0


def _rest(requests: BinaryIO) -> None:
    """Give freed memory back if no request comes for a while; return at the latest then."""
    try:
        coming = select.select([requests], [], [], REST_SECONDS)[0]
    except OSError:  # on Windows only sockets can be waited for
        return
    if not coming:
        allocator.trim()


def _reply(request: messages.Message, rooms: Sequence[RoomMemory]) -> messages.Message:
    data, room = messages.asked(request, rooms)
    limit_time(float(request.head["seconds"]))
    try:
        return messages.answer(prepare(data, messages.wanted_of(request)), room)
    except RefusedImageError as error:
        return messages.refuse(error)
    except MemoryError:
        problem = "Reading the file takes more memory than a radiograph needs."
        refusal = RefusedImageError(problem, "Export the image again from the PACS.")
        return messages.refuse(refusal, memory=True)
    except Exception as error:  # noqa: BLE001 (untrusted input; the keeper must get an answer)
        problem = f"The file is damaged and cannot be read ({type(error).__name__})."
        return messages.refuse(RefusedImageError(problem, "Transfer or export the file again."))


def _load_decoders() -> None:
    """Import what the first file would wait for, and what the memory limit should not count."""
    import cv2  # noqa: PLC0415
    import libjpeg  # noqa: F401, PLC0415
    import openjpeg  # noqa: F401, PLC0415
    import pydicom.pixels  # noqa: F401, PLC0415

    cv2.setNumThreads(1)  # there is a child for every core


def limit_this_process() -> None:
    """No large memory, no files written, no core dumps."""
    if resource is None:
        return
    pages = _statm()[0]
    memory = pages * os.sysconf("SC_PAGE_SIZE") + MAX_GROWTH_BYTES
    for name, value in (("RLIMIT_AS", memory), ("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (value, value))


def limit_time(seconds: float) -> None:
    """Let this process use so much more processor time; past it the system ends it."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds + 1)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (most, hard))


def _write_all(stream: BinaryIO, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def _statm() -> list[int]:
    """Pages of this process: all, resident, shared ...; zeros where the system does not tell."""
    try:
        return [int(word) for word in Path("/proc/self/statm").read_text("ascii").split()]
    except (OSError, ValueError):
        return [0, 0, 0]


def _resident() -> int:
    """Bytes of memory of its own; rooms are its keeper's."""
    _, resident, shared, *_ = _statm()
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
