"""`python -m app.serve`, with what only tests may change: how long a session lasts unused."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

from app import serve
from app.gate.sessions import IDLE
from tests import eight_maps

if __name__ == "__main__":
    if "DDAD_TEST_EIGHT_MAPS" in os.environ:
        eight_maps.install()
    idle = timedelta(seconds=int(sys.argv[1])) if len(sys.argv) > 1 else IDLE
    sys.exit(serve.main([], idle=idle))
