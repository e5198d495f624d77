"""What an import is given: an export or single files, checked before a row is read."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from app.gateways.files import is_sha256
from ddad_core.errors import DdadError
from ddad_core.imaging.archive import MAX_RATIO, Archive, is_archive

MANIFEST = "manifest.json"
MAX_FILES = 100
MAX_BYTES = 4 * 2**30
"""All files together, unpacked."""

FileKind = Literal["csv", "jsonl", "parquet", "coco"]
_ENDINGS: dict[str, FileKind] = {
    ".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet", ".json": "coco",
}  # fmt: skip
_SAFE_NAME = re.compile(r"\w[\w .()\-]{0,120}")
_CHUNK = 2**20
_AGAIN = "Transfer it again, or export it again. Nothing was imported."


class PackageError(DdadError):
    """What was given cannot be imported as it is."""


@dataclass(frozen=True)
class PackedFile:
    """A file of a package.

    Attributes:
        name: As it is called.
        kind: Of the file.
        path: Where it can be read.
        sha256: Of its bytes.
        size: In bytes.
    """

    name: str
    kind: FileKind
    path: Path
    sha256: str
    size: int

    @property
    def stem(self) -> str:
        """The name without endings."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Package:
    """Files that belong together.

    Attributes:
        name: For people.
        files: Without the manifest.
        manifest: What it says; None where there is none.
        sha256: Of the manifest; without one of the file, or of the digests of several.
    """

    name: str
    files: tuple[PackedFile, ...]
    manifest: Mapping[str, Any] | None
    sha256: str


def open_package(paths: Sequence[Path], work: Path, format_version: int) -> Package:
    """Gather the files, unpack archives, and hold everything against the manifest.

    Args:
        paths: One export as ZIP file or folder, or single files.
        work: An empty folder for what is unpacked.
        format_version: The newest version of the format that is understood.

    Raises:
        PackageError: Nothing usable, a damaged or changed file, or an archive beyond the limits.
        RefusedImageError: A ZIP archive is damaged or made to fill the disk.
        OSError: A file cannot be read.
    """
    if not paths:
        problem = "Nothing to import."
        raise PackageError(problem, "Give an export, or tables of reads, boxes or labels.")
    files: dict[str, PackedFile] = {}
    for path in paths:
        for file in _files_of(path, work):
            if file.name in files:
                problem = f"There are two files called {file.name}."
                raise PackageError(problem, "Import one export at a time.")
            files[file.name] = file
    name = ", ".join(path.name for path in paths)
    manifest = files.pop(MANIFEST, None)
    if manifest is None:
        return Package(name, tuple(files.values()), None, _digest_of(files))
    facts = _facts(manifest, format_version)
    _hold_against(facts, files)
    return Package(name, tuple(files.values()), facts, manifest.sha256)


def _files_of(path: Path, work: Path) -> list[PackedFile]:
    if not path.exists():
        problem = f"{path} does not exist."
        raise PackageError(problem, "Name an export, or a table.")
    if path.is_dir():
        return [
            _listed(one)
            for one in sorted(path.iterdir())
            if one.is_file() and one.suffix in _ENDINGS and not one.name.startswith(".")
        ]
    with path.open("rb") as file:
        packed = is_archive(file.read(4))
    if packed:
        return _unpacked(path, work)
    if path.suffix.lower() == ".zip":
        problem = f"{path.name} is no ZIP archive, or it is cut short."
        raise PackageError(problem, _AGAIN)
    if path.suffix not in _ENDINGS:
        problem = f"{path.name} is no table that is understood."
        raise PackageError(problem, "Give a .zip, .csv, .jsonl or .parquet file, or COCO as .json.")
    return [_listed(path)]


def _listed(path: Path) -> PackedFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return PackedFile(path.name, _ENDINGS[path.suffix], path, digest, path.stat().st_size)


def _unpacked(path: Path, work: Path) -> list[PackedFile]:
    """The files of an archive; names are checked, sizes are counted and not believed."""
    Archive(path)  # refuses what is damaged, overlaps or has too many files
    found: list[PackedFile] = []
    left = MAX_BYTES
    with zipfile.ZipFile(path) as archive:
        infos = [i for i in archive.infolist() if not i.is_dir() and not _hidden(i.filename)]
        if len(infos) > MAX_FILES:
            problem = f"The ZIP archive has {len(infos)} files; an export has {MAX_FILES} at most."
            raise PackageError(problem, "Import one export at a time.")
        folders = {info.filename.rpartition("/")[0] for info in infos}
        for info in infos:
            name = info.filename.rpartition("/")[2]
            if len(folders) > 1 or "\\" in info.filename or not _SAFE_NAME.fullmatch(name):
                problem = "The ZIP archive has a file whose name no export has."
                raise PackageError(problem, "Give the archive as it was exported.")
            if info.file_size > MAX_RATIO * max(info.compress_size, 4096):
                problem = f"{name} in the ZIP archive grows beyond measure when it is unpacked."
                raise PackageError(problem, _AGAIN)
            target = work / name
            if target.exists():
                problem = f"The ZIP archive has two files called {name}."
                raise PackageError(problem, "Give the archive as it was exported.")
            if target.suffix not in _ENDINGS:
                continue
            try:
                with archive.open(info) as packed, target.open("wb") as out:
                    digest, size = _copied(packed, out, left)
            except (
                zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError,
            ) as error:  # fmt: skip
                problem = f"{name} in the ZIP archive is damaged: it cannot be unpacked."
                raise PackageError(problem, _AGAIN) from error
            left -= size
            found.append(PackedFile(name, _ENDINGS[target.suffix], target, digest, size))
    return found


def _hidden(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" in parts or any(p.startswith(".") and p not in (".", "..") for p in parts)


def _copied(packed: IO[bytes], out: IO[bytes], limit: int) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := packed.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            problem = f"The ZIP archive grows beyond {MAX_BYTES // 2**30} GB when it is unpacked."
            raise PackageError(problem, "Import fewer reads at a time.")
        digest.update(chunk)
        out.write(chunk)
    return digest.hexdigest(), size


def _digest_of(files: Mapping[str, PackedFile]) -> str:
    if len(files) == 1:
        return next(iter(files.values())).sha256
    text = "".join(f"{files[name].sha256}  {name}\n" for name in sorted(files))
    return hashlib.sha256(text.encode()).hexdigest()


def _facts(manifest: PackedFile, format_version: int) -> Mapping[str, Any]:
    try:
        facts = json.loads(manifest.path.read_bytes())
        if facts["format"] != "ddad-export":
            raise ValueError(facts["format"])
        version = int(facts["format_version"])
        installation, site = str(facts["installation"]), facts["site"]
        listed = {one["name"]: (one["bytes"], one["sha256"]) for one in facts["files"]}
        whole = isinstance(site, str) and all(
            isinstance(size, int) and is_sha256(digest) for size, digest in listed.values()
        )
        if not whole or not re.fullmatch(r"[0-9A-Za-z\-]{8,64}", installation):
            raise ValueError(installation)
    except (ValueError, KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        problem = "manifest.json is not that of an export of this program."
        raise PackageError(problem, _AGAIN) from error
    if version > format_version:
        problem = f"The export has version {version} of the format; {format_version} is understood."
        raise PackageError(problem, "Update this program, then import it.")
    found: Mapping[str, Any] = facts
    return found


def _hold_against(facts: Mapping[str, Any], files: Mapping[str, PackedFile]) -> None:
    listed = {one["name"]: one for one in facts["files"]}
    for name, entry in listed.items():
        file = files.get(name)
        if file is None:
            problem = f"{name} is missing, which the manifest lists."
            raise PackageError(problem, _AGAIN)
        if file.size != entry["bytes"] or file.sha256 != entry["sha256"]:
            problem = f"{name} is not as it was exported: its SHA-256 differs from the manifest's."
            raise PackageError(problem, _AGAIN)
    for name in files:
        if name not in listed:
            problem = f"{name} was not part of the export: the manifest does not list it."
            raise PackageError(problem, "Take it out, or give the export as it was made.")
