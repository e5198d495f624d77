"""The home folder: whether it can be used, lasts, and is kept from others."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from app.keeping.check import Check, some

LOW_BYTES, VERY_LOW_BYTES = 2 * 10**9, 200 * 10**6
_VANISHING = ("tmpfs", "ramfs", "overlay", "aufs")
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "fuse.s3fs", "9p", "afs")
_MOUNTS = Path("/proc/self/mounts")


def check_home(home: Path) -> Iterator[Check]:
    """Is it there, and may this program use it?"""
    if not home.is_dir():
        mend = "Start the app once, or run `ddad-admin migrate` or `ddad-admin restore FILE`."
        yield Check("home", "fault", f"{home} is not there.", mend)
        return
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        mend = "Give the account that runs the app permission."
        yield Check("home", "fault", f"{home} cannot be read and written.", mend)
        return
    yield Check("home", "ok", f"{home} can be read and written.")


def check_room(home: Path) -> Check:
    """Is there room for what comes?"""
    free = shutil.disk_usage(home).free
    words = f"{free / 1e9:.1f} GB free."
    mend = "Make room: what cannot be stored is refused."
    if free < VERY_LOW_BYTES:
        return Check("disk", "fault", words, mend)
    return Check("disk", "warning", words, mend) if free < LOW_BYTES else Check("disk", "ok", words)


def check_file_system(home: Path, *, sqlite: bool, mounts: Path = _MOUNTS) -> Check:
    """Does what is stored last, and do locks work?"""
    kind = _file_system(home.resolve(), mounts)
    if kind in _VANISHING:
        found = f"{home} lies on {kind}, which a restart of the machine or container may empty."
        mend = "Put DDAD_HOME on a disk or volume that stays."
        return Check("file system", "warning", found, mend)
    if kind in _NETWORK and sqlite:
        found = f"{home} lies on a network file system ({kind}), where SQLite's locks may fail."
        mend = "Put DDAD_HOME on a local disk, or use PostgreSQL (DDAD_DATABASE_URL)."
        return Check("file system", "fault", found, mend)
    return Check("file system", "ok", f"{kind or 'unknown kind'}.")


def _file_system(path: Path, mounts: Path) -> str:
    best, kind = Path("/"), ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, place, found, *_ = line.split(" ")
        mount = Path(place.replace("\\040", " "))
        if path.is_relative_to(mount) and len(mount.parts) >= len(best.parts):
            best, kind = mount, found
    return kind


def check_secrecy(home: Path, key_file: Path) -> Iterator[Check]:
    """May other accounts of this machine read any of it?"""
    if key_file.is_file() and key_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        found = f"{key_file} can be read by others than its owner."
        yield Check("key's permissions", "fault", found, f"chmod 600 {key_file}")
    if not home.stat().st_mode & stat.S_IXOTH:
        yield Check("permissions", "ok", f"{home} is closed to other accounts.")
        return
    open_files = [
        str(path.relative_to(home))
        for path in home.rglob("*")
        if path.is_file() and path.stat().st_mode & stat.S_IROTH
    ]
    if open_files:
        found = f"other accounts of this machine can read {some(open_files)}."
        yield Check("permissions", "warning", found, f"chmod -R o-rwx {home}")
    else:
        yield Check("permissions", "ok", "no file can be read by other accounts.")
