"""TIFF as no library at hand does it: tags of any page, and writing 8-, 16-bit and float RGB with a color profile."""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ORIENTATION, SAMPLE_FORMAT, BITS, SAMPLES, PROFILE = 274, 339, 258, 277, 34675
_SIZES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 7: "s", 11: "f", 12: "d", 13: "I", 16: "Q", 18: "Q"}
_KIND, REDUCED, MASK = 254, 1, 4
_MOST_PAGES = 1 << 20


def read_tags(path: Path, page: int = 0) -> dict[int, Any]:
    """Return numbers and bytes of one directory of a TIFF or BigTIFF file; empty where it is none or damaged."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for number, (entries, form) in enumerate(_directories(data)):
                if number == page:
                    return dict(_values(data, entry, form) for entry in entries)
    except (OSError, ValueError):
        pass
    return {}


def page_kinds(path: Path) -> list[int]:
    """What each page says of its kind: 0, or :data:`REDUCED` and :data:`MASK`; empty where it is no TIFF file."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            pages = [dict(_values(data, e, form) for e in entries[:1]) for entries, form in _directories(data)]
            return [int(page.get(_KIND) or 0) for page in pages]  # tags are sorted, this is the first of all
    except (OSError, ValueError, TypeError):
        return []


def is_float(path: Path) -> bool:
    """Whether a TIFF file holds floating-point samples."""
    value = read_tags(path).get(SAMPLE_FORMAT, 1)
    return (value[0] if isinstance(value, tuple) else value) == 3


def page_as_stored(data: bytes, page: int = 0) -> bytes:
    """Return a TIFF file that begins with another of its pages and says nothing of orientation.

    OpenCV follows that in part, and fails on some.
    """
    changed = bytearray(data)
    for number, (entries, (order, big)) in enumerate(_directories(data)):
        if number == page:
            for entry in entries:
                if struct.unpack_from(f"{order}H", data, entry)[0] == ORIENTATION:
                    struct.pack_into(f"{order}H", changed, entry + (12 if big else 8), 1)
            if page and entries:
                start = entries[0] - (8 if big else 2)
                struct.pack_into(f"{order}{'Q' if big else 'I'}", changed, 8 if big else 4, start)
            break
    return bytes(changed)


def _directories(data: bytes | mmap.mmap) -> Iterator[tuple[list[int], tuple[str, bool]]]:
    """Where the entries of each directory stand, with ``(byte order, BigTIFF or not)``; ends where it is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None or len(data) < 16:
        return
    version = struct.unpack_from(f"{order}H", data, 2)[0]
    if version not in (42, 43):
        return
    big = version == 43
    number, link, size = ("Q", "Q", 20) if big else ("H", "I", 12)
    head = struct.calcsize(number)
    place, seen = struct.unpack_from(f"{order}{link}", data, 8 if big else 4)[0], set()
    try:
        while place and place not in seen and len(seen) < _MOST_PAGES:
            seen.add(place)
            count = struct.unpack_from(f"{order}{number}", data, place)[0]
            end = place + head + size * count
            if end > len(data):
                return
            yield list(range(place + head, end, size)), (order, big)
            place = struct.unpack_from(f"{order}{link}", data, end)[0]
    except struct.error:
        return


def _values(data: bytes | mmap.mmap, entry: int, form: tuple[str, bool]) -> tuple[int, Any]:
    """Tag and value of an entry; None for a value that is damaged or of no use here."""
    order, big = form
    tag, kind, number = struct.unpack_from(f"{order}HH{'Q' if big else 'I'}", data, entry)
    code = _SIZES.get(kind)
    if code is None or number > 1 << 24:
        return tag, None
    numbers = f"{order}{number}s" if code == "s" else f"{order}{number * len(code)}{code[0]}"
    place, room = (entry + 12, 8) if big else (entry + 8, 4)
    try:
        if struct.calcsize(numbers) > room:
            place = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, place)[0]
        values = struct.unpack_from(numbers, data, place)
    except struct.error:
        return tag, None
    return tag, values[0] if len(values) == 1 else values


def encode(image: np.ndarray, alpha: np.ndarray | None, keep: dict[str, Any]) -> bytes:
    """Code ``(H, W, 3)`` or ``(H, W)`` uint8, uint16 or float32, deflated, with straight alpha if there is any."""
    samples = image[..., None] if image.ndim == 2 else image
    samples = np.dstack([samples, alpha]) if alpha is not None else samples
    height, width, channels = samples.shape
    samples = np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))
    data = zlib.compress(samples.tobytes(), 6)
    is_float = samples.dtype.kind == "f"
    colors = channels - (alpha is not None)
    horizontal, vertical = keep.get("dpi", (72, 72))
    entries: list[tuple[int, int, list[Any] | bytes]] = [
        (256, 4, [width]),
        (257, 4, [height]),
        (BITS, 3, [samples.dtype.itemsize * 8] * channels),
        (259, 3, [8]),  # deflate
        (262, 3, [2 if colors == 3 else 1]),
        (273, 4, [8]),
        (ORIENTATION, 3, [1]),
        (SAMPLES, 3, [channels]),
        (278, 4, [height]),
        (279, 4, [len(data)]),
        (282, 5, [round(float(horizontal) * 1000), 1000]),
        (283, 5, [round(float(vertical) * 1000), 1000]),
        (284, 3, [1]),
        (296, 3, [2]),
        *([(338, 3, [2])] if alpha is not None else []),
        (SAMPLE_FORMAT, 3, [3 if is_float else 1] * channels),
        *([(PROFILE, 7, keep["icc_profile"])] if keep.get("icc_profile") else []),
    ]
    place = 8 + len(data) + len(data) % 2
    far = place + 2 + 12 * len(entries) + 4
    directory, rest = struct.pack("<H", len(entries)), b""
    for tag, kind, values in entries:
        body = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{_SIZES[kind][0]}", *values)
        count = len(values) // (2 if kind == 5 else 1)
        directory += struct.pack("<HHI", tag, kind, count)
        if len(body) <= 4:
            directory += body.ljust(4, b"\0")
        else:
            directory += struct.pack("<I", far + len(rest))
            rest += body + b"\0" * (len(body) % 2)
    return struct.pack("<2sHI", b"II", 42, place) + data + b"\0" * (len(data) % 2) + directory + b"\0" * 4 + rest
