"""Memory of a process and its descendants, from /proc (Linux)."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def family(pid: int) -> list[int]:
    """The process and all its descendants that are alive."""
    parents: dict[int, int] = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            # The name, in parentheses, may hold blanks; the parent is the second field after it.
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
        except OSError:
            continue  # it ended meanwhile
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def held_mb(pid: int) -> float:
    """Memory of the family in MB (10^6 bytes), a page that n processes share counted 1/n each.

    Pss of the kernel. Resident sizes added up count shared libraries and shared buffers once a
    process: with two readers of files that is some 170 MB too much.
    """
    return sum(_field(member, "smaps_rollup", "Pss") for member in family(pid)) * 1024 / 1e6


def peak_mb(pid: int) -> float:
    """The largest resident memory of this one process so far, in MB."""
    return _field(pid, "status", "VmHWM") * 1024 / 1e6


def _field(pid: int, file: str, name: str) -> int:
    try:
        lines = (PROC / str(pid) / file).read_text().splitlines()
    except OSError:
        return 0  # it ended meanwhile
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
