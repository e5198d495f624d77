"""Reading untrusted files in child processes with limits on memory and time.

A child is used again and again, so that a file costs milliseconds, not the start of a program.
A file that brings its child down is refused, and the next file finds a fresh one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType

from ddad_core.errors import DdadError, RefusedImageError
from ddad_core.imaging import sandbox_messages as messages
from ddad_core.imaging.limits import check_size_in_bytes, seconds_for
from ddad_core.imaging.prepare import Prepared, Wanted

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
    """One child process and the pipes to it."""

    def __init__(self) -> None:
        handle = _memory_file()
        command = [sys.executable, "-c", _PROGRAM, str(_SOURCES), str(handle)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # Ctrl+C is for the keeper
                pass_fds=() if handle < 0 else (handle,),
            )
            self.shared = messages.SharedMemory(handle if handle >= 0 else None)
        except OSError as error:
            problem = f"The process that reads files cannot be started ({error.strerror})."
            raise SandboxError(problem, "Free some memory, then try again.") from error
        finally:
            if handle >= 0:
                os.close(handle)  # the mapping stays
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
        self.shared.close()
        self._process.kill()
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


def _memory_file() -> int:
    """A file in memory that a child inherits; -1 where the system has none."""
    try:
        handle = os.memfd_create("ddad-reader")
    except (AttributeError, OSError):
        return -1
    os.ftruncate(handle, messages.SHARED_BYTES)  # takes room only where it is written
    return handle


_SMALL = 2**16
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from ddad_core.imaging.sandbox_child import main; sys.exit(main())"
)


class Sandbox:
    """Reads files in child processes; safe to share between threads.

    Args:
        workers: Child processes, hence files read at a time; they start when first needed.
        seconds: Processor time that reading a file of so many bytes may take.
    """

    def __init__(self, workers: int = 1, *, seconds: Callable[[int], float] = seconds_for) -> None:
        self.workers = workers
        self._seconds = seconds
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._all: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    def prepare(
        self, data: bytes | memoryview, wanted: Wanted, *, room: memoryview | None = None
    ) -> Prepared:
        """As :func:`ddad_core.imaging.prepare.prepare`, in a child.

        Args:
            data: The whole file.
            wanted: What to make.
            room: Where a file to keep is put if it is large; into new memory if None. It may be
                where ``data`` lies.

        Raises:
            RefusedImageError: The file is no radiograph that can be read, or reading it takes
                more memory or time than a radiograph needs.
            SandboxError: No child can be started.
        """
        check_size_in_bytes(len(data))
        child = self._idle.get()
        leaving = False
        try:
            if child and child.ended():  # between two files: the next one is not to blame
                child = self._replace(child)
            child = child or self._start()
            child.wait_until_ready()
            seconds = self._seconds(len(data))
            request = messages.ask(data, wanted, seconds, child.shared)
            reply = child.exchange(request, _patience(seconds))
            leaving = bool(reply.head.get("leaving"))
            return messages.answered(reply, child.shared, room)
        except (_ChildLostError, messages.BrokenMessageError):
            assert child
            status = child.status()
            child = self._replace(child)
            slow = status is None or status in (-signal.SIGXCPU, -signal.SIGKILL)
            raise RefusedImageError(_TOO_LONG if slow else _TOO_MUCH, _EXPORT_AGAIN) from None
        except SandboxError:
            child = None
            raise
        finally:
            if leaving and child:  # whatever became of its file
                child = self._replace(child)
            self._idle.put(child)

    def warm_up(self, *, wait: bool = False) -> None:
        """Start every child now, so that the first files do not wait for it.

        Args:
            wait: Return when they are there.
        """
        waiting = [self._idle.get() for _ in range(self.workers)]
        for i, child in enumerate(waiting):
            with contextlib.suppress(SandboxError):  # told when a file is to be read
                waiting[i] = child or self._start()
        for child in waiting:
            if wait and child:
                with contextlib.suppress(SandboxError):
                    child.wait_until_ready()
            self._idle.put(child)

    def close(self) -> None:
        """End all children; the sandbox is of no use afterwards."""
        with self._lock:
            self._closed = True
            children, self._all = self._all, set()
        for child in children:
            child.end()

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

    def _start(self) -> _Child:
        child = _Child()
        with self._lock:
            self._all.add(child)
            closed = self._closed
        if closed:
            self.close()
            problem = "The program is ending."
            raise SandboxError(problem, "Start it again.")
        return child

    def _replace(self, child: _Child) -> _Child | None:
        """End a child and start the next at once, so that the next file does not wait for it."""
        with self._lock:
            self._all.discard(child)
        child.end()
        with contextlib.suppress(SandboxError):
            return self._start()
        return None
