"""The ways in which files are damaged: cut off, overwritten, mixed with another, words and lines out of place."""

from __future__ import annotations

import struct

import numpy as np

_NUMBERS = (
    "nan inf -inf 1e999 -1 0 1e-320 99999999999999999999 2147483648 0x10 1_000 \u0663 . - + '' , ; NaN %d \0".split(" ")
)
_WORDS = ["../../../etc/passwd", "/", "~", "a" * 300, "a" * 5000, "\u202eabc", "\ud800", ". . .", "[" * 3000,
          "{" * 3000, "&a [*a]", "LUT_3D_SIZE 256", "LUT_1D_SIZE 65536", "real_videos/" * 40]  # fmt: skip


def damaged(data: bytes, random: np.random.Generator, others: list[bytes]) -> bytes:
    """One to four of the ways in which files are damaged, one after the other."""
    for _ in range(1 + int(random.integers(4))):
        data = _WAYS[int(random.integers(len(_WAYS)))](bytearray(data), random, others)
    return data


def _place(data: bytearray, random: np.random.Generator) -> int:
    """Somewhere; half of the time near the beginning, where headers are."""
    end = len(data) + 1
    return int(random.integers(min(end, 200) if random.integers(2) else end))


def _cut(data: bytearray, random: np.random.Generator, others: list[bytes]) -> bytes:
    return bytes(data[: _place(data, random)])


def _flip(data: bytearray, random: np.random.Generator, others: list[bytes]) -> bytes:
    for _ in range(1 + int(random.integers(8))):
        if data:
            data[_place(data, random) % len(data)] ^= 1 << int(random.integers(8))
    return bytes(data)


def _overwrite(data: bytearray, random: np.random.Generator, others: list[bytes]) -> bytes:
    place, size = _place(data, random), 1 + int(random.integers(16))
    fill = [b"\0" * size, b"\xff" * size, random.bytes(size), b"\x7f" * size][int(random.integers(4))]
    data[place : place + size] = fill
    return bytes(data)


def _integer(data: bytearray, random: np.random.Generator, others: list[bytes]) -> bytes:
    value = int(random.choice([0, 1, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1]))
    form = ["<I", ">I", "<Q", ">Q", "<H", ">H"][int(random.integers(6))]
    packed = struct.pack(form, value % (1 << 8 * struct.calcsize(form)))
    place = _place(data, random)
    data[place : place + len(packed)] = packed
    return bytes(data)


def _remove(data: bytearray, random: np.random.Generator, others: list[bytes]) -> bytes:
    place = _place(data, random)
    del data[place : place + 1 + int(random.integers(40))]
    return bytes(data)


def _repeat(data: bytearray, random: np.random.Generator, others: list[bytes]) -> bytes:
    place, size = _place(data, random), 1 + int(random.integers(60))
    return bytes(data[:place] + data[place : place + size] * int(random.integers(2, 6)) + data[place + size :])


def _mixture(data: bytearray, random: np.random.Generator, others: list[bytes]) -> bytes:
    other = others[int(random.integers(len(others)))]
    return bytes(data[: _place(data, random)]) + other[_place(bytearray(other), random) :]


def _word(data: bytearray, random: np.random.Generator, others: list[bytes]) -> bytes:
    """Put another word in the place of one: for files of text."""
    words = bytes(data).split(b" ")
    new = [*_NUMBERS, *_WORDS][int(random.integers(len(_NUMBERS) + len(_WORDS)))]
    words[int(random.integers(len(words)))] = new.encode("utf-8", "surrogatepass")
    return b" ".join(words)


def _lines(data: bytearray, random: np.random.Generator, others: list[bytes]) -> bytes:
    lines = bytes(data).split(b"\n")
    random.shuffle(lines)
    return b"\n".join(lines)


_WAYS = (_cut, _flip, _overwrite, _integer, _remove, _repeat, _mixture, _word, _lines)
