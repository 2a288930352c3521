"""A picture of several tiles, as phones write them: ``from video import heif_grid``.

No library at hand writes such AVIF or HEIC files, so single ones are taken apart and their coded pictures put into a
file with a "grid" item over them (ISO/IEC 23008-12, 6.6.2.3).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image


def write_grid(path: Path, image: np.ndarray, tile: int = 64) -> None:
    """Write ``(H, W, 3)`` uint8 in square tiles; those at the right and bottom reach over the edge."""
    height, width = image.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    padded = np.pad(image, ((0, rows * tile - height), (0, columns * tile - width), (0, 0)), mode="edge")
    single = path.with_name(f"tile{path.suffix}")
    coded, properties, kind = [], {}, b""
    for row in range(rows):
        for column in range(columns):
            part = padded[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile]
            Image.fromarray(part).save(single, quality=95, subsampling="4:4:4")
            data, properties, kind = _taken_apart(single.read_bytes())
            coded.append(data)
    single.unlink()
    path.write_bytes(_put_together(coded, properties, kind, (rows, columns), (width, height), path.suffix))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, place + 8)[0], 16
        size = size or len(data) - place
        yield name, data[place + head : place + size]
        place += size


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def _full(name: bytes, version: int, flags: int, body: bytes) -> bytes:
    return _box(name, struct.pack(">I", version << 24 | flags) + body)


def _taken_apart(data: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """The coded picture of a file's first item, the properties that matter, and the item's type."""
    meta = dict(_boxes(dict(_boxes(data))[b"meta"][4:]))
    primary = struct.unpack_from(">H", meta[b"pitm"], 4)[0]
    properties = dict(_boxes(dict(_boxes(meta[b"iprp"]))[b"ipco"]))
    kinds = [body[8:12] for name, body in _boxes(meta[b"iinf"][6:]) if name == b"infe"]
    location, version = meta[b"iloc"], meta[b"iloc"][0]
    sizes, base_sizes = location[4], location[5]
    number, length, base, index = sizes >> 4, sizes & 15, base_sizes >> 4, base_sizes & 15 if version else 0
    count, place = struct.unpack_from(">H", location, 6)[0], 8

    def read(size: int) -> int:
        nonlocal place
        place += size
        return int.from_bytes(location[place - size : place], "big")

    found = b""
    for _ in range(count):
        item = read(2)
        if version:
            read(2)
        read(2)
        start = read(base)
        for _ in range(read(2)):
            read(index)
            offset, size = read(number), read(length)
            if item == primary:
                found += data[start + offset : start + offset + size]
    return found, {n: b for n, b in properties.items() if n in (b"av1C", b"hvcC", b"pixi", b"colr")}, kinds[0]


def _put_together(
    coded: list[bytes],
    properties: dict[bytes, bytes],
    kind: bytes,
    grid: tuple[int, int],
    size: tuple[int, int],
    ending: str,
) -> bytes:
    count, tile = len(coded), 64
    brand = b"avif" if ending == ".avif" else b"heic"
    ftyp = _box(b"ftyp", brand + struct.pack(">I", 0) + b"mif1" + brand + b"miaf")
    whole = count + 1
    layout = struct.pack(">BBBBHH", 0, 0, grid[0] - 1, grid[1] - 1, *size)
    infos = b"".join(
        _full(
            b"infe",
            2,
            0 if item == whole else 1,
            struct.pack(">HH4s", item, 0, b"grid" if item == whole else kind) + b"\0",
        )
        for item in range(1, whole + 1)
    )
    shared = [_box(name, body) for name, body in properties.items()]
    tile_size, full_size = (_full(b"ispe", 0, 0, struct.pack(">II", *pair)) for pair in ((tile, tile), size))
    container = _box(b"ipco", b"".join([*shared, tile_size, full_size]))
    essential = {n for n, name in enumerate(properties, 1) if name in (b"av1C", b"hvcC")}
    mapping = b""
    for item in range(1, whole + 1):
        numbers = list(range(1, len(shared) + 2))
        if item == whole:
            numbers = [n for n in range(1, len(shared) + 1) if n not in essential] + [len(shared) + 2]
        marked = bytes(n | (0x80 if n in essential else 0) for n in numbers)
        mapping += struct.pack(">HB", item, len(marked)) + marked
    associations = _full(b"ipma", 0, 0, struct.pack(">I", whole) + mapping)
    references = _box(b"dimg", struct.pack(">HH", whole, count) + struct.pack(f">{count}H", *range(1, count + 1)))

    def meta(start: int) -> bytes:
        places, place = b"", start
        for item, data in enumerate([*coded, layout], 1):
            places += struct.pack(">HHHII", item, 0, 1, place, len(data))
            place += len(data)
        parts = [
            _full(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"pict") + b"\0"),
            _full(b"pitm", 0, 0, struct.pack(">H", whole)),
            _full(b"iloc", 0, 0, struct.pack(">BBH", 0x44, 0, whole) + places),
            _full(b"iinf", 0, 0, struct.pack(">H", whole) + infos),
            _full(b"iref", 0, 0, references),
            _box(b"iprp", container + associations),
        ]
        return _full(b"meta", 0, 0, b"".join(parts))

    start = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(start) + _box(b"mdat", b"".join([*coded, layout]))
