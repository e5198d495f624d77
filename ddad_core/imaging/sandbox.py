"""Reading untrusted files in child processes with limits on memory and time.

A child is used again and again, so that a file costs milliseconds, not the start of a program.
A file that brings its child down is refused, and the next file finds a fresh one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType

from ddad_core.errors import DdadError, RefusedImageError
from ddad_core.imaging import sandbox_messages as messages
from ddad_core.imaging.limits import check_size_in_bytes, seconds_for
from ddad_core.imaging.prepare import Prepared, Wanted
from ddad_core.imaging.rooms import LARGE, ROOMS, RoomMemory, map_rooms, memory_file

_SOURCES = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0
_PATIENCE, _LONGEST_SECONDS = 4.0, 10.0
"""Wall time allowed for each second of processor time, for the machine may be busy; and at most."""

_PIPE_BYTES = 2**20
_TOO_LONG = "Reading the file takes longer than a radiograph needs."
_TOO_MUCH = "The file brings its reader down: it is damaged, or made to do so."
_EXPORT_AGAIN = "Export the image again from the PACS, uncompressed if it offers that."


class SandboxError(DdadError):
    """No child process can be started."""


class _ChildLostError(Exception):
    """The child ended or does not answer."""


class _Child:
    """One child process and the pipes to it.

    Attributes:
        files: How many it has read.

    Args:
        handle: Of the file in memory that its rooms are in; None: files go by the pipe.
    """

    def __init__(self, handle: int | None) -> None:
        command = [
            sys.executable,
            "-c",
            _PROGRAM,
            str(_SOURCES),
            str(-1 if handle is None else handle),
        ]
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # Ctrl+C is for the keeper
                pass_fds=() if handle is None else (handle,),
            )
        except OSError as error:
            problem = f"The process that reads files cannot be started ({error.strerror})."
            raise SandboxError(problem, "Free some memory, then try again.") from error
        self.files = 0
        assert self._process.stdin and self._process.stdout
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._ready = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        for pipe in (self._in, self._out):
            with contextlib.suppress(OSError, AttributeError):  # Linux only; only faster
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def wait_until_ready(self) -> None:
        """Wait for the child's first word.

        Raises:
            SandboxError: It does not come.
        """
        if self._ready:
            return
        try:
            self._receive(time.monotonic() + _START_SECONDS)
        except _ChildLostError:
            self.end()
            problem = "The process that reads files does not start."
            raise SandboxError(problem, "Check the installation with `make test`.") from None
        self._ready = True

    def exchange(self, request: messages.Message, seconds: float) -> messages.Message:
        """Send a request and wait for the answer.

        Raises:
            _ChildLostError: The child ended, or took longer than ``seconds``.
        """
        deadline = time.monotonic() + seconds
        try:
            messages.send(request, self._write)
        except OSError as error:
            raise _ChildLostError from error
        return self._receive(deadline)

    def end(self) -> int | None:
        """End the child, however it is, and return its exit status."""
        self._selector.close()
        if self._process.poll() is None:  # else its number may be another's by now
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)  # it leads a session of its own
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(5)
        return None

    def ended(self) -> bool:
        """Whether it ended by itself."""
        return self._process.poll() is not None

    def status(self) -> int | None:
        """Exit status if it ended by itself, perhaps this very moment; else None."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(0.2)
        return None

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._in, view) :]

    def _receive(self, deadline: float) -> messages.Message:
        try:
            return messages.receive(partial(self._read, deadline))
        except (messages.BrokenMessageError, OSError) as error:
            raise _ChildLostError from error

    def _read(self, deadline: float, size: int) -> bytes:
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            if not self._selector.select(max(deadline - time.monotonic(), 0)):
                raise messages.BrokenMessageError
            count = os.readv(self._out, [view[done:]])
            if count == 0:
                raise messages.BrokenMessageError
            done += count
        view.release()
        return bytes(data) if size <= _SMALL else data  # type: ignore[return-value]


def _patience(seconds: float) -> float:
    """Wall time for a file that may take so much processor time."""
    return min(_PATIENCE * seconds, max(_LONGEST_SECONDS, 1.5 * seconds))


_SMALL = 2**16
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from ddad_core.imaging.sandbox_child import main; sys.exit(main())"
)


class Room:
    """Memory for one file on its way through a child, lent by :meth:`Sandbox.room`.

    Attributes:
        place: Whose child reads the file.
        number: By which that child knows the room; None if it does not see it.
        memory: What lies there, from the start.
        used: Bytes that were written.
    """

    def __init__(self, place: _Place, number: int | None, memory: RoomMemory) -> None:
        self.place = place
        self.number = number
        self.memory = memory
        self.used = 0


class _Place:
    """Where one child works after the other, and the rooms that it shares with its keeper.

    Attributes:
        child: None before the first, while one is at work, and where none could be started.
        busy: Held by who has the child.
        handle: Of the file in memory that the rooms are in; None without one.
        free: Rooms that nobody has.
    """

    def __init__(self) -> None:
        self.child: _Child | None = None
        self.busy = threading.Lock()
        self.handle = memory_file()
        memory = map_rooms(self.handle)
        self.free = [
            Room(self, None if self.handle is None else number, RoomMemory(memory, number))
            for number in range(ROOMS)
        ]

    def close(self) -> None:
        """Start no child any more; memory goes with the last who looks at it."""
        self.free.clear()
        if self.handle is not None:
            os.close(self.handle)


class Sandbox:
    """Reads files in child processes; safe to share between threads.

    Args:
        workers: Child processes, hence files read at a time; they start when first needed.
        seconds: Processor time that reading a file of so many bytes may take.
    """

    def __init__(self, workers: int = 1, *, seconds: Callable[[int], float] = seconds_for) -> None:
        self.workers = workers
        self._seconds = seconds
        self._places = [_Place() for _ in range(workers)]
        self._all: set[_Child] = set()
        self._lock = threading.Lock()
        self._room_free = threading.Condition()
        self._closed = False

    @contextlib.contextmanager
    def room(self) -> Iterator[Room]:
        """Lend a room, of a place with nothing to do if there is one; wait if all are taken.

        Raises:
            SandboxError: The sandbox was closed.
        """
        with self._room_free:
            self._room_free.wait_for(lambda: self._closed or any(p.free for p in self._places))
            self._check_open()
            open_places = [place for place in self._places if place.free]
            place = max(open_places, key=lambda p: (not p.busy.locked(), len(p.free)))
            room = place.free.pop()
        whole_memory = True  # what was written before an error is not known
        try:
            yield room
            whole_memory = room.used > LARGE
        finally:
            if whole_memory:
                room.memory.give_back()
            room.used = 0
            with self._room_free:
                if not self._closed:
                    place.free.append(room)
                self._room_free.notify()

    def prepare(self, data: bytes, wanted: Wanted) -> Prepared:
        """As :func:`ddad_core.imaging.prepare.prepare`, in a child.

        Args:
            data: The whole file.
            wanted: What to make.

        Raises:
            RefusedImageError: The file is no radiograph that can be read, or reading it takes
                more memory or time than a radiograph needs.
            SandboxError: No child can be started.
        """
        check_size_in_bytes(len(data))
        with self.room() as room:
            room.used = room.memory.put(data)
            prepared = self.prepare_in(room, wanted)
            kept = prepared.kept
            return replace(prepared, kept=kept and replace(kept, data=bytes(kept.data)))

    def prepare_in(self, room: Room, wanted: Wanted) -> Prepared:
        """As :meth:`prepare`, for a file that lies in a room, ``room.used`` bytes long.

        Returns:
            What was made; a file to keep lies in the room, or in memory of its own where a child
            does not see the room.
        """
        file = room.memory.holding(room.used)
        place = room.place
        with place.busy:
            child, place.child = place.child, None
            leaving = True  # after an error that is not foreseen, it may be in mid-answer
            try:
                if child and child.ended():  # between two files: the next one is not to blame
                    child = self._replace(place, child)
                child = child or self._start(place)
                child.wait_until_ready()
                seconds = self._seconds(len(file))
                request = messages.ask(file, wanted, seconds, room.number)
                reply = child.exchange(request, _patience(seconds))
                if reply.head.get("memory") and child.files:
                    # Earlier files may have left too little: once more where none was before.
                    child = self._replace(place, child) or self._start(place)
                    child.wait_until_ready()
                    reply = child.exchange(request, _patience(seconds))
                child.files += 1
                leaving = bool(reply.head.get("leaving"))
                prepared = messages.answered(reply, room.memory)
            except (_ChildLostError, messages.BrokenMessageError):
                assert child
                status = child.status()
                child, leaving = self._replace(place, child), False
                slow = status is None or status in (-signal.SIGXCPU, -signal.SIGKILL)
                raise RefusedImageError(_TOO_LONG if slow else _TOO_MUCH, _EXPORT_AGAIN) from None
            except SandboxError:
                child = None
                raise
            finally:
                if leaving and child:  # whatever became of its file
                    child = self._replace(place, child)
                place.child = child
        if prepared.kept:
            room.used = max(room.used, len(prepared.kept.data))
        return prepared

    def warm_up(self, *, wait: bool = False) -> None:
        """Start every child now, so that the first files do not wait for it.

        Args:
            wait: Return when they are there.
        """
        for place in self._places:
            with place.busy, contextlib.suppress(SandboxError):  # told when a file is to be read
                place.child = place.child or self._start(place)
        for place in self._places if wait else ():
            with place.busy, contextlib.suppress(SandboxError):
                if place.child:
                    place.child.wait_until_ready()

    def close(self) -> None:
        """End all children; the sandbox is of no use afterwards."""
        with self._lock:
            first, self._closed = not self._closed, True
            children, self._all = self._all, set()
        for child in children:
            child.end()
        with self._room_free:
            self._room_free.notify_all()
        for place in self._places if first else ():
            place.close()

    def __enter__(self) -> Sandbox:
        """Use it in a ``with`` statement."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self, place: _Place) -> _Child:
        with self._lock:
            self._check_open()
            child = _Child(place.handle)
            self._all.add(child)
        return child

    def _check_open(self) -> None:
        if self._closed:
            problem = "The program is ending."
            raise SandboxError(problem, "Start it again.")

    def _replace(self, place: _Place, child: _Child) -> _Child | None:
        """End a child and start the next at once, so that the next file does not wait for it."""
        with self._lock:
            self._all.discard(child)
        child.end()
        with contextlib.suppress(SandboxError):
            return self._start(place)
        return None
