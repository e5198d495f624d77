"""Errors -> plain sentences on the screen, never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from ddad_core.errors import DdadError

log = logging.getLogger(__name__)


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show what goes wrong inside as a sentence and stop the page run there."""
    try:
        yield
    except DdadError as error:
        st.error(f"{error.problem} {error.next_step}".strip(), icon=":material/error:")
        st.stop()
    except (OSError, MemoryError) as error:
        log.exception("A page failed")
        reason = getattr(error, "strerror", None) or type(error).__name__
        st.error(
            f"The machine could not do this ({reason}). Nothing was stored. "
            "Check disk space and memory, then try again.",
            icon=":material/error:",
        )
        st.stop()
