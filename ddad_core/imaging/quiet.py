"""Keeping header values out of logs."""

from __future__ import annotations

import logging
import warnings


def keep_header_values_out_of_logs() -> None:
    """Silence pydicom in this process: its warnings quote the odd values they complain of.

    For the edge of a program that reads patients' files; each process needs it once, and child
    processes need it themselves.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
