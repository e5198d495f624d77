from __future__ import annotations

import subprocess
import sys

from tests.core.synthetic import REPOSITORY

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from ddad_core.training import lanes
from ddad_core.training.loop import TrainingConfig, train

whole = lanes._train_lane

def brief(lane, shared):
    lane.images = lane.images[:128]  # two steps; all the images are held all the same
    whole(lane, shared)

lanes._train_lane = brief
generator = np.random.default_rng(0)
normal, unlabeled = generator.integers(0, 256, (2, 5000, 64, 64), dtype=np.uint8)
config = TrainingConfig(epochs=1)
trained = train(config, normal, unlabeled, run=Path(sys.argv[1]))
assert len(trained.losses) == 6 and len(normal) + len(unlabeled) == 10_000
status = Path("/proc/self/status").read_text()  # getrusage tells of who started it, too
print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)
"""


def test_training_on_ten_thousand_images_holds_under_three_gigabytes(tmp_path):
    """All six networks in the published settings, two steps each."""
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    assert 0.1e9 < int(done.stdout) < 3e9
