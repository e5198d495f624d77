"""Whatever a file holds: a radiograph that keeps the contract, or a refusal in words.

A bounded number of examples in the tests, the same each time; `make fuzz` tries many more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddad_core.errors import RefusedImageError
from ddad_core.imaging import read_radiograph
from ddad_core.imaging.prepare import Keeping, Prepared, Wanted
from ddad_core.imaging.sandbox import Sandbox
from tests.core.imaging.fuzz_seeds import seeds

WANTED = Wanted(sizes=(64,), display=True, thumbnail=True, keep=Keeping(b"k" * 32, "Site"))
LONGEST_REFUSAL = 20.0
"""Seconds; generous, because test machines are busy. What is promised is measured elsewhere."""

Mutation = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(1) as one:
        yield one


def _flip(at: float, value: int) -> Mutation:
    def mutate(data: bytes) -> bytes:
        changed = bytearray(data)
        if changed:
            changed[int(at * len(changed)) % len(changed)] = value
        return bytes(changed)

    return mutate


def _cut(at: float) -> Mutation:
    return lambda data: data[: int(at * len(data))]


def _drop(start: float, length: int) -> Mutation:
    return lambda data: data[: (i := int(start * len(data)))] + data[i + length :]


def _repeat(start: float, length: int, times: int) -> Mutation:
    def mutate(data: bytes) -> bytes:
        i = int(start * len(data))
        return data[:i] + data[i : i + length] * times + data[i + length :]

    return mutate


def _write(start: float, piece: bytes) -> Mutation:
    return lambda data: data[: (i := int(start * len(data)))] + piece + data[i + len(piece) :]


def _splice(at: float, seed: int) -> Mutation:
    def mutate(data: bytes) -> bytes:
        other = seeds()[seed % len(seeds())]
        return data[: int(at * len(data))] + other[int(at * len(other)) :]

    return mutate


# Headers lie in front, so half of all places are drawn from the first tenth.
places = st.one_of(st.floats(0, 0.1), st.floats(0, 1, exclude_max=True))
lengths = st.integers(1, 64)
interesting = st.sampled_from(
    [
        b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff\xff", b"\x00\x00", b"\x00\x00\x00\x00",
        b"SQ", b"OB", b"UN", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", b"\xff\xd8", b"\xff\xd9",
        b"\xff\x4f\xff\x51", b"\xff\xff\xff\x7f", b"1.2.840.10008.1.2.1.99", b"nan", b"1e999",
    ]
)  # fmt: skip
mutations = st.one_of(
    st.builds(_flip, places, st.integers(0, 255)),
    st.builds(_flip, places, st.integers(0, 255)),
    st.builds(_cut, places),
    st.builds(_drop, places, lengths),
    st.builds(_repeat, places, lengths, st.integers(2, 50)),
    st.builds(_write, places, interesting),
    st.builds(_write, places, st.binary(min_size=1, max_size=16)),
    st.builds(_splice, places, st.integers(0, 50)),
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    data = draw(st.sampled_from(seeds()))
    for mutate in draw(st.lists(mutations, min_size=1, max_size=6)):
        data = mutate(data)
    return data


def _check(prepared: Prepared) -> None:
    assert prepared.width > 0 and prepared.height > 0
    assert prepared.grey[64].shape == (64, 64)
    assert prepared.grey[64].max() > prepared.grey[64].min()
    assert prepared.kept and prepared.display and prepared.thumbnail
    assert np.isfinite([prepared.kept.slope, prepared.kept.intercept]).all()
    for window in prepared.windows:
        assert np.isfinite(window.center) and window.width > 0
    age = prepared.facts.age_years
    assert age is None or 0 <= age <= 130


@given(data=files())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused(sandbox: Sandbox, data: bytes) -> None:
    started = time.monotonic()
    try:
        _check(sandbox.prepare(data, WANTED))
    except RefusedImageError as error:
        assert error.problem.endswith(".") and error.next_step
        assert "Fuzz" not in str(error) and "4711" not in str(error)
    assert time.monotonic() - started < LONGEST_REFUSAL


@given(data=st.binary(max_size=4096))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedImageError):
        read_radiograph(data)


def test_the_seeds_themselves_are_read(sandbox: Sandbox) -> None:
    assert len(seeds()) >= 10
    for data in seeds():
        _check(sandbox.prepare(data, WANTED))
