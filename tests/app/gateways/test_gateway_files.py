from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import mmap
import os
import pickle
import zipfile
import zlib

import numpy as np
import pytest

from app.gateways.files import FilesError, ImageFiles

SHA = "ab" + "0" * 62
MODEL = "e" * 64


@pytest.fixture
def files(tmp_path):
    return ImageFiles(tmp_path)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 65536, (60, 41), dtype=np.uint16)


@pytest.fixture
def maps():
    rng = np.random.default_rng(1)
    return {name: rng.random((8, 8), dtype=np.float32) for name in ("rec", "intra", "file")}


def kept(tmp_path):
    return [path for path in tmp_path.rglob("*") if path.is_file()]


def test_pixels_come_back_bit_for_bit(files, pixels, tmp_path):
    files.put_pixels(SHA, pixels)
    back = files.pixels(SHA)
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, pixels)
    assert kept(tmp_path) == [tmp_path / "images" / "ab" / f"{SHA}.png"]


@pytest.mark.parametrize("view", [np.transpose, np.flipud, lambda a: a[::2, ::3], lambda a: a[:1]])
def test_views_of_an_array_come_back_as_seen(files, pixels, view):
    files.put_pixels(SHA, view(pixels))
    np.testing.assert_array_equal(files.pixels(SHA), view(pixels))


def test_writing_again_replaces(files, pixels):
    files.put_pixels(SHA, pixels)
    files.put_pixels(SHA, pixels[::-1])
    np.testing.assert_array_equal(files.pixels(SHA), pixels[::-1])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4), ">u2"),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((0, 4), np.uint16),
    ],
)
def test_other_arrays_are_refused(files, array, tmp_path):
    with pytest.raises(FilesError, match="expected uint16"):
        files.put_pixels(SHA, array)
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["", "ab", "../" * 22, "A" * 64, SHA + "\n", SHA[:-1] + "/", "٣" * 64]
)
def test_name_that_is_no_sha256_is_refused(files, pixels, maps, name):
    for attempt in (
        lambda: files.put_pixels(name, pixels),
        lambda: files.pixels(name),
        lambda: files.has_pixels(name),
        lambda: files.put_maps(name, MODEL, maps),
        lambda: files.put_maps(SHA, name, maps),
        lambda: files.maps(name, MODEL),
        lambda: files.maps(SHA, name),
        lambda: files.remove(name),
    ):
        with pytest.raises(FilesError, match="not a SHA-256"):
            attempt()


def test_missing_pixels_say_what_to_do(files):
    assert not files.has_pixels(SHA)
    with pytest.raises(FilesError, match="missing") as caught:
        files.pixels(SHA)
    assert "backup" in caught.value.next_step


def test_shortened_or_altered_pixels_are_never_shown(files, pixels, tmp_path):
    files.put_pixels(SHA, pixels)
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 97)]
    damaged += [whole[:-1], whole + b"x", b"\x00" * 500]
    for at in range(0, len(whole), 53):
        altered = bytearray(whole)
        altered[at] ^= 0x10
        damaged.append(bytes(altered))
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(FilesError, match="damaged"):
            files.pixels(SHA)


def test_png_of_another_kind_is_not_taken_for_pixels(files, tmp_path):
    import cv2

    path = tmp_path / "images" / "ab" / f"{SHA}.png"
    path.parent.mkdir(parents=True)
    for other in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16)):
        path.write_bytes(cv2.imencode(".png", other)[1].tobytes())
        with pytest.raises(FilesError, match="damaged"):
            files.pixels(SHA)


def test_maps_come_back_by_name(files, maps):
    assert files.maps(SHA, MODEL) is None
    files.put_maps(SHA, MODEL, maps)
    back = files.maps(SHA, MODEL)
    assert list(back) == list(maps)
    for name, values in maps.items():
        assert back[name].dtype == np.float32
        np.testing.assert_array_equal(back[name], values)
    assert files.maps(SHA, "f" * 64) is None


def test_maps_can_be_opened_with_numpy_alone(files, maps, tmp_path):
    files.put_maps(SHA, MODEL, maps)
    with np.load(kept(tmp_path)[0]) as archive:
        np.testing.assert_array_equal(archive["intra"], maps["intra"])


@pytest.mark.parametrize(
    "bad",
    [
        {"rec": np.zeros((4, 4))},
        {"rec": np.zeros((1, 4, 4), np.float32)},
        {"../rec": np.zeros((4, 4), np.float32)},
    ],
)
def test_other_maps_are_refused(files, bad, tmp_path):
    with pytest.raises(FilesError):
        files.put_maps(SHA, MODEL, bad)
    assert kept(tmp_path) == []


def test_shortened_or_altered_maps_are_never_shown(files, maps, tmp_path):
    files.put_maps(SHA, MODEL, maps)
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 31):
        path.write_bytes(whole[:length])
        with pytest.raises(FilesError, match="damaged") as caught:
            files.maps(SHA, MODEL)
        assert "Score this image again" in caught.value.next_step
    for at in range(0, len(whole), 3):
        altered = bytearray(whole)
        altered[at] ^= 0xFF
        path.write_bytes(altered)
        with pytest.raises(FilesError, match="damaged"):
            files.maps(SHA, MODEL)


def test_pickles_are_never_opened(files, tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    path = tmp_path / "maps" / "ab" / SHA / f"{MODEL}.npz"
    path.parent.mkdir(parents=True)
    pickled = io.BytesIO()
    np.lib.format.write_array(pickled, np.array([[Trap()]], dtype=object), allow_pickle=True)
    for content in (pickled.getvalue(), pickle.dumps(Trap())):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("rec.npy", content)
            archive.comment = b"0" * 8
        sealed = path.read_bytes()[:-8]
        path.write_bytes(sealed + b"%08x" % zlib.crc32(sealed))
        with pytest.raises(FilesError, match="damaged") as caught:
            files.maps(SHA, MODEL)
        assert "checksum" not in str(caught.value.__cause__)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("function", "code", "says"),
    [
        ("replace", errno.EIO, "cannot be written"),
        ("replace", errno.ENOSPC, "is full"),
        ("fsync", errno.ENOSPC, "is full"),
        ("fsync", errno.EDQUOT, "is full"),
        ("replace", errno.EACCES, "cannot be written"),
    ],
)
def test_failed_write_leaves_nothing(
    files, pixels, maps, tmp_path, monkeypatch, function, code, says
):
    def fail(*_args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(FilesError, match=says) as caught:
        files.put_pixels(SHA, pixels)
    assert caught.value.next_step
    if function == "replace":  # maps are not waited for: they can be made anew
        with pytest.raises(FilesError, match=says):
            files.put_maps(SHA, MODEL, maps)
    assert kept(tmp_path) == []


def test_failed_write_keeps_what_was_there(files, pixels, monkeypatch):
    files.put_pixels(SHA, pixels)

    def interrupt(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            files.put_pixels(SHA, pixels[::-1])
    np.testing.assert_array_equal(files.pixels(SHA), pixels)


def test_folder_in_the_way_is_told_plainly(pixels, tmp_path):
    (tmp_path / "images").write_text("")
    with pytest.raises(FilesError, match="cannot be written"):
        ImageFiles(tmp_path).put_pixels(SHA, pixels)


def test_remove_takes_pixels_and_all_maps_and_may_be_repeated(files, pixels, maps, tmp_path):
    other = "ab" + "1" * 62
    files.put_pixels(SHA, pixels)
    files.put_pixels(other, pixels)
    files.put_maps(SHA, MODEL, maps)
    files.put_maps(SHA, "f" * 64, maps)
    files.remove(SHA)
    files.remove(SHA)
    assert kept(tmp_path) == [tmp_path / "images" / "ab" / f"{other}.png"]
    assert files.maps(SHA, MODEL) is None


@pytest.mark.parametrize(("kind", "ending"), [("png", "png"), ("dicom", "dcm")])
def test_a_file_comes_back_byte_for_byte(files, tmp_path, kind, ending):
    data = os.urandom(1000)
    files.put_file(SHA, data, kind)
    assert files.file(SHA, kind, stored_sha256=hashlib.sha256(data).hexdigest()) == data
    assert files.file(SHA, kind, stored_sha256=None) == data
    assert kept(tmp_path) == [tmp_path / "images" / "ab" / f"{SHA}.{ending}"]


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 3 * 4096, 5 * 4096 + 17])
@pytest.mark.parametrize("refusing", [False, True])
def test_a_file_from_the_start_of_a_page_comes_back_byte_for_byte(
    files, monkeypatch, size, refusing
):
    if refusing:  # a file system that takes nothing past the cache
        write = os.write

        def strict(handle, data):
            if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_DIRECT:
                raise OSError(errno.EINVAL, "Invalid argument")
            return write(handle, data)

        monkeypatch.setattr(os, "write", strict)
    memory = mmap.mmap(-1, 2**20)
    memory[:] = os.urandom(2**20)
    data = memoryview(memory)[:size]
    files.put_file(SHA, data, "dicom")
    assert files.file(SHA, "dicom", stored_sha256=None) == bytes(data)


def test_a_changed_file_is_damaged_and_an_absent_one_missing(files, tmp_path):
    digest = hashlib.sha256(b"picture").hexdigest()
    with pytest.raises(FilesError, match="missing") as caught:
        files.file(SHA, "dicom", stored_sha256=digest)
    assert "Restore it" in caught.value.next_step
    files.put_file(SHA, b"picture", "dicom")
    (tmp_path / "images" / "ab" / f"{SHA}.dcm").write_bytes(b"Picture")
    with pytest.raises(FilesError, match="damaged"):
        files.file(SHA, "dicom", stored_sha256=digest)


def test_originals_lie_apart_and_go_with_the_image(files, pixels, maps, tmp_path):
    files.put_original(SHA, b"named", "dcm")
    assert kept(tmp_path) == [tmp_path / "originals" / "ab" / f"{SHA}.dcm"]
    files.put_file(SHA, b"unnamed", "dicom")
    files.put_pixels(SHA, pixels)
    files.put_maps(SHA, MODEL, maps)
    assert len(kept(tmp_path)) == 4
    files.remove(SHA)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("ending", ["", "../x", "DCM", "a" * 9, "d.m"])
def test_an_ending_cannot_name_a_file_elsewhere(files, tmp_path, ending):
    with pytest.raises(FilesError, match="ending"):
        files.put_original(SHA, b"named", ending)
    assert kept(tmp_path) == []
