"""Encryption of backups in the age format (https://age-encryption.org/v1), as a stream.

For a recipient a backup is one age file. With a passphrase it is a tar archive of two: a key of
its own, encrypted with the passphrase, and the backup, encrypted to that key. So the passphrase's
deliberately slow function runs once, and nothing large is ever held in memory. The age program
opens both: ``tar xf FILE``, then ``age -d -i key.age backup.tar.age | tar x``.
"""

from __future__ import annotations

import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyrage

from app.keeping.manifest import SMALL, BackupError, damaged
from app.keeping.tar_stream import END, Readable, header, padding

MIN_PASSPHRASE = 12
_AGE = b"age-encryption.org/v1"
_KEY, _SEALED = "key.age", "backup.tar.age"


@dataclass(frozen=True)
class Seal:
    """How a backup is encrypted; with neither it is not.

    Attributes:
        passphrase: At least 12 characters.
        recipient: An age key, "age1...".
    """

    passphrase: str = ""
    recipient: str = ""

    def check(self) -> None:
        """Refuse what cannot be used, before any work.

        Raises:
            BackupError: The passphrase is short, or the recipient is no age key.
        """
        if self.recipient:
            _recipient(self.recipient)
        elif self.passphrase and len(self.passphrase) < MIN_PASSPHRASE:
            problem = f"The passphrase has fewer than {MIN_PASSPHRASE} characters."
            raise BackupError(problem, "Choose a longer one, for instance five random words.")

    @property
    def ending(self) -> str:
        """What the name of such a backup ends with."""
        return ".tar.age" if self.recipient else ".sealed.tar" if self.passphrase else ".tar"


@dataclass(frozen=True)
class Unseal:
    """How a backup is opened.

    Attributes:
        passphrase: Asked for when it is needed.
        identities: Secret age keys, "AGE-SECRET-KEY-1...".
    """

    passphrase: Callable[[], str] = str
    identities: tuple[str, ...] = ()


def write(file: IO[bytes], pieces: Iterator[bytes], seal: Seal) -> None:
    """Write pieces of a tar archive, encrypted if wished.

    Raises:
        OSError: The disk does not take them, or what they come from cannot be read.
    """
    if seal.recipient:
        _encrypt(pieces, file, _recipient(seal.recipient))
    elif seal.passphrase:
        own = pyrage.x25519.Identity.generate()
        key = pyrage.passphrase.encrypt(str(own).encode("ascii"), seal.passphrase)
        file.write(header(_KEY, len(key)) + key + padding(len(key)))
        place = file.tell()
        file.write(header(_SEALED, 0))  # written again below, when its size is known
        start = file.tell()
        _encrypt(pieces, file, own.to_public())
        size = file.tell() - start
        file.write(padding(size) + END)
        file.seek(place)
        file.write(header(_SEALED, size))
    else:
        for piece in pieces:
            file.write(piece)


def _encrypt(pieces: Iterator[bytes], file: IO[bytes], recipient: Any) -> None:
    failed: list[Exception] = []

    def watched() -> Iterator[bytes]:
        try:
            yield from pieces
        except Exception as error:
            failed.append(error)  # pyrage would tell it as an error of encryption
            raise

    try:
        pyrage.encrypt_io(Readable(watched()), file, [recipient])
    except pyrage.EncryptError:
        if failed:
            raise failed[0] from None
        raise


def _recipient(text: str) -> Any:
    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        problem = f"{text[:80]!r} is not the public key of an age key pair."
        raise BackupError(problem, "It starts with age1; `age-keygen` makes a pair.") from error


@contextmanager
def opened(path: Path, unseal: Unseal) -> Iterator[IO[bytes]]:
    """The tar archive of a backup, to be read from its start to its end.

    Raises:
        BackupError: It is no backup, damaged, or cannot be decrypted with what was given.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(len(_AGE))
        file.seek(0)
        if start == _AGE:
            with _decrypted(file, _identities(unseal)) as plain:
                yield plain
        elif first_name(file) == _KEY:
            with _unsealed(file, unseal) as plain:
                yield plain
        else:
            file.seek(0)
            yield file


def first_name(file: IO[bytes]) -> str:
    """Name of the first member of an archive.

    Raises:
        BackupError: It is no archive.
    """
    try:
        return tarfile.TarInfo.frombuf(file.read(512), "utf-8", "surrogateescape").name
    except tarfile.HeaderError as error:
        problem = "The file is not a backup that `ddad-admin backup` made, or its start is damaged."
        raise BackupError(problem, "Check that it is the right file.") from error


@contextmanager
def _unsealed(file: IO[bytes], unseal: Unseal) -> Iterator[IO[bytes]]:
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as outer:
            key, sealed = outer.getmember(_KEY), outer.getmember(_SEALED)
            if key.size > SMALL:
                raise damaged(why="its key is too large")
            key_file, sealed_file = outer.extractfile(key), outer.extractfile(sealed)
            if key_file is None or sealed_file is None:
                raise damaged(why="its encrypted part is missing")
            own = _own_identity(key_file.read(), unseal.passphrase())
            with _decrypted(sealed_file, [own]) as plain:
                yield plain
    except (tarfile.TarError, KeyError) as error:
        raise damaged(why="its encrypted part is missing") from error


def _own_identity(key: bytes, passphrase: str) -> Any:
    if not passphrase:
        problem = "The backup is encrypted with a passphrase."
        raise BackupError(problem, "Give it by --passphrase-file, or type it when asked.")
    try:
        text = pyrage.passphrase.decrypt(key, passphrase)
    except pyrage.DecryptError as error:
        problem = "The passphrase is not the one this backup was encrypted with."
        raise BackupError(problem, "Check it and try again; nothing was put in place.") from error
    return pyrage.x25519.Identity.from_str(text.decode("ascii"))


def _identities(unseal: Unseal) -> list[Any]:
    if not unseal.identities:
        problem = "The backup is encrypted to an age key."
        raise BackupError(problem, "Give the file with the secret key by --identity-file.")
    try:
        return [pyrage.x25519.Identity.from_str(text) for text in unseal.identities]
    except pyrage.IdentityError as error:
        problem = "The identity file holds something other than secret age keys."
        raise BackupError(problem, "Its lines start with AGE-SECRET-KEY-1.") from error


@contextmanager
def _decrypted(file: IO[bytes], identities: list[Any]) -> Iterator[IO[bytes]]:
    """What a thread decrypts, through a pipe."""
    reading, writing = os.pipe()
    failed: list[Exception] = []

    def work() -> None:
        try:
            with os.fdopen(writing, "wb") as target:
                pyrage.decrypt_io(file, target, identities)
        except BrokenPipeError:
            pass  # whoever reads has seen enough
        except Exception as error:  # noqa: BLE001 - told by the thread that reads
            failed.append(error)

    thread = threading.Thread(target=work, name="decrypting")
    thread.start()
    cut_off: BackupError | None = None
    try:
        with os.fdopen(reading, "rb") as plain:
            try:
                yield plain
            except BackupError as error:
                cut_off = error
            except (tarfile.TarError, EOFError):
                # What cannot be decrypted looks cut off to the reader.
                cut_off = damaged(why="it ends too early, or is no archive")
    finally:
        thread.join()
    if failed and isinstance(failed[0], pyrage.DecryptError) and "No matching" in str(failed[0]):
        problem = "None of the keys given opens this backup."
        raise BackupError(problem, "Give the secret key of the pair it was made for.") from failed[
            0
        ]
    if failed:
        raise damaged(why="it cannot be decrypted") from failed[0]
    if cut_off is not None:
        raise cut_off
