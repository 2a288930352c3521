"""TIFF as no library at hand does it: tags of any file, and writing 8-, 16-bit and float RGB with a color profile."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

ORIENTATION, SAMPLE_FORMAT, BITS, PROFILE = 274, 339, 258, 34675
_SIZES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 7: "s", 11: "f", 12: "d", 16: "Q"}


def read_tags(path: Path) -> dict[int, Any]:
    """Return numbers and bytes of the first directory of a TIFF file; empty where it is no TIFF or damaged."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            order = {b"II": "<", b"MM": ">"}[head[:2]]
            if struct.unpack(f"{order}H", head[2:4])[0] != 42:
                return {}
            file.seek(struct.unpack(f"{order}I", head[4:])[0])
            count = struct.unpack(f"{order}H", file.read(2))[0]
            entries = [file.read(12) for _ in range(min(count, 500))]
            tags: dict[int, Any] = {}
            for entry in entries:
                tag, kind, number = struct.unpack(f"{order}HHI", entry[:8])
                code = _SIZES.get(kind)
                if code is None or number > 1 << 24:
                    continue
                form = f"{order}{number}s" if code == "s" else f"{order}{number * len(code)}{code[0]}"
                size, data = struct.calcsize(form), entry[8:12]
                if size > 4:
                    file.seek(struct.unpack(f"{order}I", data)[0])
                    data = file.read(size)
                values = struct.unpack(form, data[:size])
                tags[tag] = values[0] if len(values) == 1 else values
            return tags
    except (OSError, KeyError, struct.error):
        return {}


def is_float(path: Path) -> bool:
    """Whether a TIFF file holds floating-point samples."""
    value = read_tags(path).get(SAMPLE_FORMAT, 1)
    return (value[0] if isinstance(value, tuple) else value) == 3


def as_stored(data: bytes) -> bytes:
    """Return a TIFF file that says nothing of orientation: OpenCV follows it in part, and fails on some."""
    changed = bytearray(data)
    try:
        order = {b"II": "<", b"MM": ">"}[data[:2]]
        place = struct.unpack_from(f"{order}I", data, 4)[0]
        for _ in range(1000):
            if not place:
                break
            count = struct.unpack_from(f"{order}H", data, place)[0]
            for entry in range(place + 2, place + 2 + 12 * count, 12):
                if struct.unpack_from(f"{order}H", data, entry)[0] == ORIENTATION:
                    struct.pack_into(f"{order}H", changed, entry + 8, 1)
            place = struct.unpack_from(f"{order}I", data, place + 2 + 12 * count)[0]
    except (KeyError, struct.error):
        return data
    return bytes(changed)


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
        (277, 3, [channels]),
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
