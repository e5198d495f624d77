"""Readers that save verdicts through the services: in a server that is killed, or all at once.

`python -m benchmarks.durable_readers serve FD` is the real server (`app.serve`: gate, Streamlit,
uvicorn) with readers in the same process; one of them takes an image in before each read. What a
service has acknowledged is written to the file descriptor, a line a read. `read NAME READS START`
is one reader in a process of its own, who begins when the file START is there and prints how long
each read took.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from app import serve
from app.bootstrap import build_services
from app.services.container import Services
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.settings import load_settings
from app.store.records import Box, ReadRecord
from benchmarks.serving import GALLERY

MODEL = "nih-ae-u"
READERS = 4
SIDE = 256


def radiograph(seed: int) -> bytes:
    """A small chest radiograph as PNG, another one for each seed."""
    grey = cv2.imread(str(GALLERY / "00001426_000.png"), cv2.IMREAD_GRAYSCALE)
    grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(seed).normal(0, 2, grey.shape)
    data = cv2.imencode(".png", np.clip(grey + noise, 0, 255).astype(np.uint8))[1]
    return bytes(data.tobytes())


def draft(chance: random.Random) -> ReadDraft:
    """A read with a box and a comment, as a reader makes it."""
    verdict = chance.choice(["normal", "abnormal"])
    boxes = (Box(10.5, 20, 30, 40, "shadow"),) if verdict == "abnormal" else ()
    return ReadDraft(
        verdict, chance.randint(1, 5), (), f"seen {chance.random()}", boxes, "inter", 0.5, 0.4,
        ai_visible=True, seconds=12.5,
    )  # fmt: skip


def save(services: Services, reader: Person, image_id: int, chance: random.Random) -> ReadRecord:
    return services.reading.save(reader, image_id, MODEL, draft(chance))


def _read_on(services: Services, number: int, acknowledged: int) -> None:
    chance = random.Random()
    reader = Person.named(f"Reader {number}")
    cases = [row.image_id for row in services.worklist.list(reader).rows]
    while True:
        image_id = chance.choice(cases)
        if number == 0:
            taken = services.intake.take(reader, "x.png", radiograph(chance.getrandbits(60)))
            assert taken.image_id is not None, taken
            image_id = taken.image_id
        saved = save(services, reader, image_id, chance)
        line = json.dumps([saved.id, saved.image_id, saved.reader, saved.revision, saved.comment])
        os.write(acknowledged, f"{line}\n".encode())


def _begin(acknowledged: int) -> None:
    services = build_services(load_settings(os.environ))
    for number in range(READERS):
        threading.Thread(
            target=_read_on, args=(services, number, acknowledged), daemon=True
        ).start()


def _serve(acknowledged: int) -> int:
    # As the first page does it: beside the gate, which answers meanwhile.
    threading.Thread(target=_begin, args=(acknowledged,), daemon=True).start()
    return serve.main([])


def read_all(services: Services, name: str, reads: int) -> list[float]:
    """Save that many reads, one after the other; seconds each took."""
    reader, chance = Person.named(name), random.Random(name)
    cases = [row.image_id for row in services.worklist.list(reader).rows][:reads]
    assert len(cases) == reads
    took = []
    for image_id in cases:
        begun = time.perf_counter()
        save(services, reader, image_id, chance)
        took.append(time.perf_counter() - begun)
    return took


def _read(name: str, reads: int, start: Path) -> int:
    services = build_services(load_settings(os.environ))
    services.worklist.list(Person.named(name))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not start.exists():
        time.sleep(0.005)
    json.dump(read_all(services, name, reads), sys.stdout)
    services.close()
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.exit(_serve(int(sys.argv[2])))
    sys.exit(_read(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
