from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.raster import read_raster


@pytest.fixture
def grey(ramp):
    return ramp(0, 255).astype(np.uint8)


def noise(seed: int = 0, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (80, 96, channels)).astype(np.uint8)


def refusal(data: bytes, format: str) -> str:
    with pytest.raises(RefusedImageError) as caught:
        read_raster(data, format)
    assert caught.value.next_step
    return caught.value.problem


def test_a_real_png_is_exact(real_file):
    path = real_file("00000150_002.png")
    found = read_raster(path.read_bytes(), "png")
    with Image.open(path) as image:
        assert np.array_equal(found.pixels, np.asarray(image.convert("L")))
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.facts.format, found.facts.bits, found.windows) == ("png", 8, ())


def test_real_grey_saved_as_colour_jpeg_keeps_its_luma(shared_file):
    folder = shared_file("kermany/train/NORMAL")
    for path in sorted(folder.iterdir())[:10]:
        with Image.open(path) as image:
            assert image.mode == "RGB"
            expected = np.asarray(image.convert("L"), dtype=np.float32)
        assert np.array_equal(read_raster(path.read_bytes(), "jpeg").pixels, expected)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_8_bit_png_of_every_mode_keeps_its_grey(grey, image_bytes, mode):
    found = read_raster(image_bytes(Image.fromarray(grey).convert(mode)), "png")
    assert np.array_equal(found.pixels, grey)
    assert found.facts.bits == 8


def test_transparency_is_laid_on_black(grey, image_bytes):
    alpha = np.full_like(grey, 255)
    alpha[:20] = 0
    found = read_raster(image_bytes(Image.fromarray(np.dstack([grey] * 3 + [alpha]))), "png")
    assert np.array_equal(found.pixels[20:], grey[20:])
    assert np.all(found.pixels[:20] == 0)


def test_16_bit_png_keeps_its_precision(ramp, image_bytes):
    values = ramp(0, 65535).astype(np.uint16)
    found = read_raster(image_bytes(Image.fromarray(values)), "png")
    assert np.array_equal(found.pixels, values)
    assert found.facts.bits == 16


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_png_keeps_its_precision(ramp, channels):
    values = ramp(0, 65535).astype(np.uint16)
    samples = np.dstack([values] * 3 + [np.full_like(values, 65535)] * (channels - 3))
    _, encoded = cv2.imencode(".png", samples)
    found = read_raster(encoded.tobytes(), "png")
    assert np.array_equal(found.pixels, values)
    assert found.facts.bits == 16


def test_jpeg_is_what_the_decoder_gives(grey, image_bytes):
    data = image_bytes(Image.fromarray(grey), "JPEG", quality=90)
    found = read_raster(data, "jpeg")
    assert np.abs(found.pixels - grey).max() <= 4
    assert (found.facts.format, found.facts.bits) == ("jpeg", 8)


def test_grey_cmyk_jpeg_is_read(grey, image_bytes):
    cmyk = Image.fromarray(np.dstack([np.zeros((80, 96, 3), np.uint8), 255 - grey]), "CMYK")
    found = read_raster(image_bytes(cmyk, "JPEG", quality=95), "jpeg")
    assert np.abs(found.pixels - grey).max() <= 6


@pytest.mark.parametrize(
    ("tag", "upright"),
    [(3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)), (8, lambda a: np.rot90(a))],
)
def test_the_camera_orientation_is_honoured(grey, image_bytes, tag, upright):
    exif = Image.Exif()
    exif[274] = tag
    image = Image.fromarray(grey)
    plain = read_raster(image_bytes(image, "JPEG"), "jpeg").pixels
    turned = read_raster(image_bytes(image, "JPEG", exif=exif), "jpeg").pixels
    assert np.array_equal(turned, upright(plain))


def test_chroma_noise_and_a_small_marker_are_let_through(grey, image_bytes):
    rgb = np.dstack([grey] * 3).astype(np.int16)
    rgb += np.random.default_rng(0).integers(-3, 4, rgb.shape)
    rgb[5:8, 5:9] = (255, 0, 0)
    image = Image.fromarray(rgb.clip(0, 255).astype(np.uint8))
    data = image_bytes(image, "JPEG", quality=60)
    assert np.array_equal(read_raster(data, "jpeg").pixels, np.asarray(decoded(data).convert("L")))


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_colour_photographs_are_refused(image_bytes):
    smooth = cv2.GaussianBlur(noise(), (0, 0), 8).astype(np.int16)
    photograph = Image.fromarray(((smooth - 128) * 6 + 128).clip(0, 255).astype(np.uint8))
    assert "in colour" in refusal(image_bytes(photograph), "png")
    assert "in colour" in refusal(image_bytes(photograph, "JPEG"), "jpeg")
    assert "in colour" in refusal(image_bytes(photograph.convert("P")), "png")


def test_a_heat_map_over_a_corner_is_refused(grey, image_bytes):
    rgb = np.dstack([grey] * 3)
    rgb[:20, :20] = (255, 60, 0)  # 5 % of the picture
    assert "in colour" in refusal(image_bytes(Image.fromarray(rgb)), "png")


def png(values: np.ndarray, depth: int, kind: int = 0, extra: bytes = b"") -> bytes:
    """A PNG file of one channel, or grey and alpha (kind 4), written by hand."""
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(len(values), -1, 2), axis=2)
    packed = np.packbits(bits[:, :, 16 - depth :].reshape(len(values), -1), axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    width = values.shape[1] // (2 if kind == 4 else 1)
    header = struct.pack(">IIBBBBB", width, len(values), depth, kind, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + body


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("palette", [False, True])
def test_png_of_a_few_bits_is_stretched_to_8(depth, palette):
    top = 2**depth - 1
    values = np.random.default_rng(0).integers(0, top + 1, (80, 96))
    entries = b"".join(bytes([255 * i // top] * 3) for i in range(top + 1))
    extra = chunk(b"PLTE", entries) if palette else b""
    found = read_raster(png(values, depth, 3 if palette else 0, extra), "png")
    assert np.array_equal(found.pixels, values * 255 // top)
    assert len(found.warnings) == (depth < 4)
    assert all(f"only {top + 1} different grey values" in text for text in found.warnings)


def test_16_bit_grey_with_alpha_keeps_its_precision(ramp):
    values = ramp(0, 65535)
    pairs = np.stack([values, np.full_like(values, 65535)], axis=2)
    pairs[:10, :, 1] = 0
    found = read_raster(png(pairs.reshape(80, -1), 16, kind=4), "png")
    assert np.array_equal(found.pixels[10:], values[10:])
    assert np.all(found.pixels[:10] == 0)
    assert found.facts.bits == 16


@pytest.mark.parametrize("depth", [8, 16])
def test_the_transparent_value_of_a_grey_png_is_laid_on_black(depth, ramp):
    values = ramp(0, 2**depth - 1)
    clear = int(values[40, 40])
    found = read_raster(png(values, depth, extra=chunk(b"tRNS", struct.pack(">H", clear))), "png")
    assert np.array_equal(found.pixels, np.where(values == clear, 0, values))


def test_cmyk_is_read_with_and_without_adobes_inversion(grey, image_bytes):
    cmyk = Image.fromarray(np.dstack([np.zeros((80, 96, 3), np.uint8), 255 - grey]), "CMYK")
    inverted = image_bytes(cmyk, "JPEG", quality=100)
    start = inverted.index(b"\xff\xee")
    assert inverted[start + 4 : start + 9] == b"Adobe"
    assert np.abs(read_raster(inverted, "jpeg").pixels - grey).max() <= 3
    other = Image.fromarray(255 - np.asarray(cmyk), "CMYK")
    data = image_bytes(other, "JPEG", quality=100)
    plain = data[:start] + data[start + 16 :]  # without the marker values mean what they say
    assert np.abs(read_raster(plain, "jpeg").pixels - grey).max() <= 3


@pytest.mark.parametrize(
    ("name", "word"), [("extended.jpg", "12-bit"), ("lossless1.jpg", "lossless")]
)
def test_jpeg_of_other_kinds_is_refused_in_words(name, word):
    data = (Path(__file__).parent / "streams" / name).read_bytes()
    assert f"a {word} JPEG" in refusal(data, "jpeg")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_a_picture_cut_anywhere_is_refused(image_bytes, progressive, share):
    image = Image.fromarray(noise(channels=1)[:, :, 0])
    data = image_bytes(image, "JPEG", progressive=progressive)
    assert refusal(data[: int(len(data) * share)], "jpeg")
    data = image_bytes(image)
    assert refusal(data[: int(len(data) * share)], "png")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_jpeg_that_was_cut_and_closed_again_is_refused(
    real_file, image_bytes, progressive, share
):
    with Image.open(real_file("00000150_002.png")) as image:
        grey = image.convert("L")
    data = image_bytes(grey, "JPEG", quality=90, progressive=progressive)
    assert read_raster(data, "jpeg").warnings == ()
    cut = data[: int(len(data) * share)] + b"\xff\xd9"
    assert "pixels are missing" in refusal(cut, "jpeg")
    assert read_raster(cut, "jpeg", whole=True).pixels.shape == (1024, 1024)


def test_a_picture_that_was_kept_after_a_cut_is_warned_of(real_file, image_bytes):
    with Image.open(real_file("00000150_002.png")) as image:
        data = image_bytes(image.convert("L"), "JPEG", quality=90)
    cut = data[: len(data) // 2] + b"\xff\xd9"
    with Image.open(io.BytesIO(cut)) as image:  # and saved whole by somebody's program
        (warning,) = read_raster(image_bytes(image), "png").warnings
    assert "lower 5" in warning and "cut off" in warning


@pytest.mark.parametrize("border", [0, 255])
def test_a_border_below_is_no_sign_of_a_cut(grey, image_bytes, border):
    framed = np.vstack([grey, np.full((40, 96), border, np.uint8)])
    assert read_raster(image_bytes(Image.fromarray(framed)), "png").warnings == ()


@pytest.mark.parametrize("cut", [1, 12, 13, 2000])
def test_a_png_cut_short_is_refused(image_bytes, cut):
    data = image_bytes(Image.fromarray(noise(channels=1)[:, :, 0]))
    assert "truncated" in refusal(data[:-cut], "png")


@pytest.mark.parametrize("cut", [2, 1000])
def test_a_jpeg_cut_short_is_refused(image_bytes, cut):
    data = image_bytes(Image.fromarray(noise(channels=1)[:, :, 0]), "JPEG")
    assert "truncated" in refusal(data[:-cut], "jpeg")


def test_bytes_after_the_end_do_no_harm(grey, image_bytes):
    data = image_bytes(Image.fromarray(grey))
    assert np.array_equal(read_raster(data + b"trailer", "png").pixels, grey)


def test_a_flipped_bit_in_a_png_is_refused(image_bytes):
    data = bytearray(image_bytes(Image.fromarray(noise(channels=1)[:, :, 0])))
    data[len(data) // 2] ^= 1
    assert "checksum" in refusal(bytes(data), "png")


def test_a_png_that_claims_a_huge_picture_is_refused_before_decoding():
    header = struct.pack(">IIBBBBB", 9000, 9000, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    start = b"\x89PNG\r\n\x1a\n"
    data = start + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    assert "9000 x 9000" in refusal(data, "png")
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    data = start + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    assert "60000 x 60000" in refusal(data, "png")


def test_thumbnails_are_refused(image_bytes):
    assert "32 x 32" in refusal(image_bytes(Image.new("L", (32, 32))), "png")


def test_animations_are_refused(grey, image_bytes):
    frames = [Image.fromarray(grey), Image.fromarray(255 - grey)]
    data = image_bytes(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert "2 images" in refusal(data, "png")
    data = image_bytes(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert "2 images" in refusal(data, "jpeg")


def test_blank_pictures_are_refused(image_bytes):
    assert "blank" in refusal(image_bytes(Image.new("L", (80, 80), 9)), "png")


def test_another_format_under_this_name_is_refused(grey, image_bytes):
    assert refusal(image_bytes(Image.fromarray(grey), "GIF"), "png")
    assert refusal(image_bytes(Image.fromarray(grey), "PNG"), "jpeg")
