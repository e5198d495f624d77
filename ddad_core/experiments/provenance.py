"""On what, and with what, an experiment was run."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import ddad_core

PACKAGES = ("torch", "numpy", "scipy", "pillow", "opencv-python-headless", "pydicom", "plotly")


def hardware(device: torch.device) -> dict[str, Any]:
    """Processor, cores, memory and GPU."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "device": device.type,
        "system": f"{platform.system()} {platform.machine()}",
    }  # fmt: skip


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of this project, Python and what the figures rest on."""
    found = {"ddad-review": ddad_core.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


SHOWS_ONLY = (
    "cli.py",
    "commands/",
    *(f"experiments/{name}.py" for name in ("charts", "markdown", "page", "published", "report")),
)
"""Files of the core that decide no figure."""


@functools.cache
def source_digest() -> str:
    """SHA-256 over the core's Python files: which state of the code this was."""
    root = Path(ddad_core.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if name.startswith(SHOWS_ONLY):
            continue
        digest.update(name.encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()
