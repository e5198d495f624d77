from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from ddad_core.errors import RefusedImageError
from ddad_core.imaging import read_radiograph, read_radiograph_file
from ddad_core.imaging.limits import MAX_FILE_BYTES


def test_content_and_not_the_name_decides(tmp_path, dataset, to_bytes, ramp):
    data = to_bytes(dataset(ramp(0, 4095)))
    path = tmp_path / "scan.png"
    path.write_bytes(data)
    found = read_radiograph_file(path)
    assert found.facts.format == "dicom"
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert np.array_equal(found.pixels, ramp(0, 4095))


def test_a_gif_named_png_is_refused(tmp_path, ramp, image_bytes):
    path = tmp_path / "image.png"
    path.write_bytes(image_bytes(Image.fromarray(ramp(0, 255).astype(np.uint8)), "GIF"))
    with pytest.raises(RefusedImageError, match="GIF"):
        read_radiograph_file(path)


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.dcm"
    path.touch()
    with pytest.raises(RefusedImageError, match="0 bytes"):
        read_radiograph_file(path)


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.dcm"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # sparse: takes no room on the disk
    with pytest.raises(RefusedImageError, match="128 MB at most"):
        read_radiograph_file(path)


@pytest.mark.parametrize("name", ["nih_dx_pa.dcm", "nih_dx_ap.dcm", "00000150_002.png"])
def test_the_gallery_is_read(real_file, name):
    data = real_file(name).read_bytes()
    found = read_radiograph(data)
    assert found.pixels.shape == (1024, 1024)
    assert found.pixels.dtype == np.float32
    assert found.warnings == ()
