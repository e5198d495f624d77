"""Decoders keep silent while an untrusted file is read.

pydicom warns, and logs, by quoting the odd value; an odd value may be a patient's name.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("pydicom", "PIL", "libjpeg", "openjpeg", "pylibjpeg")


class _Silence:
    """Warnings and loggers off while anyone reads: the first reader turns them off, the last on.

    ``warnings.catch_warnings`` alone, in threads that overlap, may put back what another thread
    has set; the loggers are switched likewise.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._caught = warnings.catch_warnings()
        self._disabled: dict[str, bool] = {}

    def enter(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers > 1:
                return
            self._caught = warnings.catch_warnings()
            self._caught.__enter__()
            warnings.simplefilter("ignore")
            self._disabled = {name: logging.getLogger(name).disabled for name in _logger_names()}
            for name in self._disabled:
                logging.getLogger(name).disabled = True

    def leave(self) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers:
                return
            for name, disabled in self._disabled.items():
                logging.getLogger(name).disabled = disabled
            self._caught.__exit__(None, None, None)


def _logger_names() -> list[str]:
    """The decoders' loggers and their children; a child is not silenced by its parent."""
    known = list(logging.getLogger().manager.loggerDict)
    children = tuple(f"{name}." for name in _LOGGERS)
    return [*_LOGGERS, *(name for name in known if name.startswith(children))]


_silence = _Silence()


@contextmanager
def silent_decoders() -> Iterator[None]:
    """Let no warning and no log line of a decoder out."""
    _silence.enter()
    try:
        yield
    finally:
        _silence.leave()
