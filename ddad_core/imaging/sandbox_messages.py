"""What a reader of untrusted files and its keeper say to each other.

A message is the length of its JSON head, the head, and the blobs that the head announces. The
keeper trusts the child no more than the file: nothing is unpickled, every length is bounded, and
every value is given its type again.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import numpy as np

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.deidentify import Identity
from ddad_core.imaging.prepare import Display, Keeping, Kept, Prepared, Wanted
from ddad_core.imaging.rooms import ROOM_BYTES, RoomMemory
from ddad_core.types import RadiographFacts, Window

MAX_HEAD = 64 * 2**20
MAX_BLOB = 1024 * 2**20
_LENGTH = struct.Struct("<Q")


class BrokenMessageError(Exception):
    """The other side ended, or said something that is no message."""


@dataclass(frozen=True)
class Message:
    """A JSON head and its blobs."""

    head: dict[str, Any]
    blobs: tuple[bytes | memoryview, ...] = ()


def send(message: Message, write: Callable[[bytes | memoryview], object]) -> None:
    """Write a message whole."""
    lengths = [len(blob) for blob in message.blobs]
    head = json.dumps({**message.head, "blobs": lengths}).encode()
    write(_LENGTH.pack(len(head)) + head)
    for blob in message.blobs:
        write(blob)


def receive(read: Callable[[int], bytes]) -> Message:
    """Read a message whole.

    Args:
        read: Gives exactly so many bytes, or raises.

    Raises:
        BrokenMessageError: It is no message.
    """
    size = _LENGTH.unpack(read(_LENGTH.size))[0]
    if size > MAX_HEAD:
        problem = f"a head of {size} bytes"
        raise BrokenMessageError(problem)
    try:
        head = json.loads(read(size))
        lengths = [int(length) for length in head.pop("blobs")]
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise BrokenMessageError from error
    if any(not 0 <= length <= MAX_BLOB for length in lengths):
        problem = "a blob of absurd length"
        raise BrokenMessageError(problem)
    return Message(head, tuple(read(length) for length in lengths))


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Read so many bytes.

    Raises:
        BrokenMessageError: The stream ends before.
    """
    data = stream.read(size)
    if data is None or len(data) < size:
        raise BrokenMessageError
    return data


def ask(file: bytes | memoryview, wanted: Wanted, seconds: float, room: int | None) -> Message:
    """A request to prepare a file within so much processor time.

    Args:
        file: The whole file.
        wanted: What to make.
        seconds: Of processor time.
        room: Number of the room at whose start the file lies; None: it goes by the pipe.
    """
    keep = {"key": wanted.keep.key.hex(), "site": wanted.keep.site} if wanted.keep else None
    head = {**asdict(wanted), "keep": keep, "seconds": seconds, "room": room, "size": len(file)}
    return Message(head, (file,) if room is None else ())


def asked(message: Message, rooms: Sequence[RoomMemory]) -> tuple[bytes, RoomMemory | None]:
    """The file, and the room it lies in, in the child."""
    head = message.head
    if head["room"] is None:
        return bytes(message.blobs[0]), None
    room = rooms[head["room"]]
    return bytes(room.holding(head["size"])), room


def wanted_of(message: Message) -> Wanted:
    """What is wanted of the file, in the child."""
    head = message.head
    keep = head["keep"]
    return Wanted(
        sizes=tuple(head["sizes"]),
        display=head["display"],
        display_side=head["display_side"],
        thumbnail=head["thumbnail"],
        keep=Keeping(bytes.fromhex(keep["key"]), keep["site"]) if keep else None,
        vouched=head["vouched"],
        whole=head["whole"],
        sha256=head["sha256"],
    )


def refuse(error: RefusedImageError, *, memory: bool = False) -> Message:
    """The answer for a refused file.

    Args:
        error: Why.
        memory: Memory ran out; earlier files may have left little.
    """
    return Message({"refused": [error.problem, error.next_step], "memory": memory})


def answer(prepared: Prepared, room: RoomMemory | None) -> Message:
    """The answer for a readable file, which is not needed any more if it lay in a room."""
    kept, display = prepared.kept, prepared.display
    size = room.put(kept.data) if kept and room and len(kept.data) <= ROOM_BYTES else 0
    head = {
        "shared": size,
        "sha256": prepared.sha256,
        "facts": asdict(prepared.facts),
        "windows": [window_to(window) for window in prepared.windows],
        "warnings": prepared.warnings,
        "size": [prepared.width, prepared.height],
        "grey": list(prepared.grey),
        "display": display
        and {
            "slope": display.slope,
            "intercept": display.intercept,
            "window": window_to(display.window),
            "size": [display.width, display.height],
            "highest": display.highest,
        },
        "kept": kept
        and {
            "stored_as": kept.stored_as,
            "pixel_sha256": kept.pixel_sha256,
            "identity": asdict(kept.identity),
            "slope": kept.slope,
            "intercept": kept.intercept,
        },
    }
    blobs = (
        prepared.thumbnail,
        display.pixels if display else b"",
        kept.data if kept and not size else b"",
        *(np.ascontiguousarray(grey).tobytes() for grey in prepared.grey.values()),
    )
    return Message(head, blobs)


def answered(message: Message, room: RoomMemory | None) -> Prepared:
    """What a child made of a file.

    Args:
        message: Its answer.
        room: Where a file to keep may lie; it is left there.

    Raises:
        RefusedImageError: The child refused it.
        BrokenMessageError: The answer is not one.
    """
    head = message.head
    try:
        if refused := head.get("refused"):
            raise RefusedImageError(str(refused[0]), str(refused[1]))
        small, shown, piped, *greys = (bytes(blob) for blob in message.blobs)
        display, kept, size = head["display"], head["kept"], int(head["shared"])
        stored: bytes | memoryview = room.holding(size) if size and room else piped
        return Prepared(
            sha256=str(head["sha256"]),
            facts=_facts(head["facts"]),
            windows=tuple(window_of(window) for window in head["windows"]),
            warnings=tuple(str(sentence) for sentence in head["warnings"]),
            width=int(head["size"][0]),
            height=int(head["size"][1]),
            grey={
                int(size): np.frombuffer(grey, np.uint8).reshape(int(size), int(size))
                for size, grey in zip(head["grey"], greys, strict=True)
            },
            display=display
            and Display(
                shown,
                float(display["slope"]),
                float(display["intercept"]),
                window_of(display["window"]),
                width=int(display["size"][0]),
                height=int(display["size"][1]),
                highest=float(display["highest"]),
            ),
            thumbnail=small,
            kept=kept
            and Kept(
                stored_as="dicom" if kept["stored_as"] == "dicom" else "png",
                data=stored,
                pixel_sha256=str(kept["pixel_sha256"]),
                identity=Identity(**kept["identity"]),
                slope=float(kept["slope"]),
                intercept=float(kept["intercept"]),
            ),
        )
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise BrokenMessageError from error


def window_to(window: Window) -> dict[str, Any]:
    """A window as plain values."""
    return {**asdict(window), "table": base64.b64encode(window.table).decode("ascii")}


def window_of(values: dict[str, Any]) -> Window:
    """A window from plain values."""
    return Window(**{**values, "table": base64.b64decode(values["table"], validate=True)})


def _facts(values: dict[str, Any]) -> RadiographFacts:
    spacing = values.pop("spacing_mm")
    return RadiographFacts(**values, spacing_mm=(spacing[0], spacing[1]) if spacing else None)
