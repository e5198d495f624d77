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


def resident_mb(pid: int) -> float:
    """Resident memory of the family in MB (10^6 bytes); shared pages count once a process."""
    return sum(_field(member, "VmRSS") for member in family(pid)) * 1024 / 1e6


def peak_mb(pid: int) -> float:
    """The sum of each one's largest resident memory so far, in MB."""
    return sum(_field(member, "VmHWM") for member in family(pid)) * 1024 / 1e6


def _field(pid: int, name: str) -> int:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
