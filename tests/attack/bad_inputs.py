"""Thousands of bad inputs, one after the other in this process: ``python tests/attack/bad_inputs.py --count 10000``.

Each is a valid file of a random kind, damaged in a random way; number N of a seed is always the same file. A reader may
take it or refuse it in one sentence (InputError). What else happens is a finding: another exception, a message of
several lines, words on the screen that are not ours, more than the time limit, a process that dies (its last number is
in ``FOLDER/at``). Findings are printed, their files kept in FOLDER, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import logging
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from damages import damaged
from PIL import Image

SIZE = (32, 24)
LIMIT = 20.0
"""Seconds for one input, on a busy machine."""
MEMORY = 6 << 30
"""Address space that the process may take beyond what it has at the start."""
LONGEST = 700
"""Characters of a message."""


class TooLong(BaseException):
    """Not an Exception: no reader may catch it."""


# Valid files: name -> content, and what reads them


def _cubes() -> dict[str, bytes]:
    rows = "".join(f"{r / 4} {g / 4} {b / 4}\n" for b in range(5) for g in range(5) for r in range(5))
    curve = "".join(f"{k / 15} {k / 15} {k / 15}\n" for k in range(16))
    heads = {
        "plain": "LUT_3D_SIZE 5\n",
        "domain": 'TITLE "x"\nLUT_3D_SIZE 5\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 1 1 1\n',
        "video": "LUT_IN_VIDEO_RANGE\nLUT_OUT_VIDEO_RANGE\nLUT_3D_SIZE 5\nLUT_3D_INPUT_RANGE 0 1\n",
    }
    found = {f"{name}.cube": head + rows for name, head in heads.items()}
    found["shaper.cube"] = "LUT_1D_SIZE 16\nLUT_1D_INPUT_RANGE 0 1\nLUT_3D_SIZE 5\n" + curve + rows
    found["curves.cube"] = "LUT_1D_SIZE 16\n" + curve
    return {name: text.encode() for name, text in found.items()}


def _lists() -> dict[str, bytes]:
    frames = [
        f"real_videos/v/{n:05d}.jpg foreground_mask/v/o/{n:05d}.png synthetic_composite_videos/v/o/{n:05d}.jpg\n"
        for n in range(0, 50, 5)
    ]
    clip = "real_videos/v foreground_mask/v/o synthetic_composite_videos/v/o\n"
    return {"frames.txt": "".join(frames).encode(), "clips.txt": (clip * 3).encode(), "mixed.txt": frames[0].encode()}


def _weights() -> dict[str, bytes]:
    from safetensors.torch import save

    state = {"encoder.weight": torch.ones(4, 3), "encoder.bias": torch.zeros(4), "n": torch.tensor(3)}
    file = io.BytesIO()
    torch.save({"state_dict": state}, file)
    return {"w.safetensors": save(state, {"format": "co2net", "backbone": "issam"}), "w.pth": file.getvalue()}


def _arrays() -> dict[str, bytes]:
    plain, packed = io.BytesIO(), io.BytesIO()
    np.save(plain, np.ones((3, 4, 4), np.float32))
    np.savez(packed, luts=np.ones((2, 3), np.float32), names=np.array(["a", "b"]))
    deep = json.dumps({"format": 1, "splits": {"train": ["a"] * 9}, "deep": [[[[{}]]]]}).encode()
    config = b"HCOCO_PATH: /data/HCOCO\nMODELS_PATH: ./m\nSUBCONFIGS:\n  duconet:\n    HCOCO_PATH: /other\n"
    return {"a.npy": plain.getvalue(), "a.npz": packed.getvalue(), "a.json": deep, "a.yml": config}


def _pictures(folder: Path) -> dict[str, bytes]:
    from video import clips

    image, alpha = clips.picture(*SIZE), clips.disc(*SIZE)
    pillow, found = Image.fromarray(image), {}
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a camera", 6
    both = {"exif": exif, "icc_profile": b"profile"}
    saved: dict[str, dict[str, Any]] = {
        "a.png": both, "a.jpg": both, "a.webp": both, "lzw.tif": {"compression": "tiff_lzw"},
        "jpeg.tif": {"compression": "jpeg"}, "a.gif": {}, "a.bmp": {}, "a.tga": {}, "a.ppm": {},
        "a.jp2": {}, "a.avif": {},
    }  # fmt: skip
    for name, how in saved.items():
        pillow.save(folder / name, **how)
    for name in ("many.webp", "many.png", "many.tif", "many.gif", "many.avif"):
        pillow.save(folder / name, save_all=True, append_images=[Image.fromarray(image[::-1])])
    Image.fromarray(np.dstack([image, alpha])).save(folder / "alpha.png")
    pillow.convert("P").save(folder / "palette.png")
    cv2.imwrite(str(folder / "deep.png"), clips.picture(*SIZE, peak=65535))
    cv2.imwritemulti(str(folder / "deep.tif"), [clips.picture(*SIZE, peak=65535)] * 2)
    cv2.imwritemulti(str(folder / "float.tif"), [image.astype(np.float32) / 255] * 2)
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.from_pillow(pillow).save(folder / "a.heic")
    with contextlib.suppress(ImportError):
        import OpenEXR

        planes = {c: np.ascontiguousarray(image[..., n] / np.float32(255)) for n, c in enumerate("RGB")}
        with OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, planes) as file:
            file.write(str(folder / "a.exr"))
    with av.open(str(folder / "a.dpx"), "w", format="image2", options={"update": "1"}) as output:
        stream = output.add_stream("dpx", rate=25, width=SIZE[0], height=SIZE[1])
        stream.codec_context.pix_fmt = "gbrp10be"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="gbrp10be")))
        output.mux(stream.encode(None))
    for path in folder.iterdir():
        found[path.name] = path.read_bytes()
    return found


def _media(folder: Path) -> dict[str, bytes]:
    from video import clips

    kinds = {
        "a.mp4": {"codec": "libx264", "sound": "aac"},
        "a.mkv": {"codec": "ffv1"},
        "a.webm": {"codec": "libvpx-vp9"},
        "a.avi": {"codec": "mpeg4", "sound": "pcm_s16le"},
        "a.ts": {"codec": "mpeg2video", "sound": "mp2"},
        "a.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
        "a.flv": {"codec": "flv"},
        "a.y4m": {"codec": "rawvideo"},
    }
    for name, how in kinds.items():
        clips.make_video(folder / name, 3, SIZE, **how)  # type: ignore[arg-type]
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _read_cube(path: Path) -> None:
    from co2net.color_mapping.cube import load_cube

    load_cube(path, curves=True)


def _read_list(path: Path) -> None:
    from co2net.data import expand_clip_list, read_frame_list

    for read in (read_frame_list, expand_clip_list):
        with contextlib.suppress(_input_error()):
            read(path, path.parent)


def _read_weights(path: Path) -> None:
    from co2net.models.checkpoints import infer_settings
    from co2net.weight_files import read_metadata, read_weights

    read_metadata(path)
    infer_settings(read_weights(path).state)


def _read_array(path: Path) -> None:
    from co2net.array_files import read_npy, read_npz
    from co2net.data.config_file import read_config
    from co2net.files import read_json

    readers: dict[str, Callable[[Path], Any]] = {
        ".npy": read_npy, ".npz": read_npz, ".yml": lambda p: read_config(p, "duconet"),
        ".json": lambda p: read_json(p, "write it again"),
    }  # fmt: skip
    readers[path.suffix](path)


def _read_picture(path: Path) -> None:
    from co2net.video import open_video
    from co2net.video.mask_files import read_mask

    with contextlib.suppress(_input_error()):
        read_mask(path)
    list(_frames(open_video(path)))


def _read_media(path: Path) -> None:
    from co2net.video import open_video

    list(_frames(open_video(path, keep_partial=True)))


def _frames(reader: Any) -> Iterator[None]:
    with reader:
        for frame in reader:
            _ = frame.image.shape
            yield None


def _input_error() -> type[Exception]:
    from co2net.errors import InputError

    return InputError


READERS: dict[str, Callable[[Path], None]] = {
    "cube": _read_cube,
    "list": _read_list,
    "weights": _read_weights,
    "array": _read_array,
    "picture": _read_picture,
    "media": _read_media,
}


def seeds(folder: Path) -> dict[str, dict[str, bytes]]:
    """Valid files of every kind."""
    (folder / "p").mkdir()
    (folder / "m").mkdir()
    made = {"cube": _cubes(), "list": _lists(), "weights": _weights(), "array": _arrays()}
    return {**made, "picture": _pictures(folder / "p"), "media": _media(folder / "m")}


# The run


def finding(read: Callable[[Path], None], path: Path, screen: io.BufferedRandom) -> str:
    """What is wrong with how a file is read; empty where nothing is."""
    screen.seek(0)
    screen.truncate()
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    found = ""
    try:
        read(path)
    except _input_error() as error:
        if "\n" in str(error) or len(str(error)) > LONGEST:
            found = f"a message of {len(str(error))} characters, {str(error).count(chr(10)) + 1} lines"
    except TooLong:
        found = f"more than {LIMIT:.0f} s"
    except BaseException as error:  # noqa: BLE001  # that is what is looked for
        found = f"{type(error).__name__}: {str(error)[:150]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    screen.seek(0)
    said = screen.read(300)
    return found or (f"on the screen: {said!r}" if said else "")


def run(count: int, seed: int, folder: Path, kinds: list[str]) -> Counter[str]:
    """Try `count` inputs; prints findings and returns how many inputs of each kind were tried, and ``"found"``."""
    from co2net import screen as screens

    (folder / "seeds").mkdir(parents=True)
    valid = seeds(folder / "seeds")
    everything = [data for kind in kinds for data in valid[kind].values()]
    report = os.fdopen(os.dup(1), "w", buffering=1)
    screen = tempfile.TemporaryFile()
    os.dup2(screen.fileno(), 1)
    screens.take_over()  # as the command does
    os.dup2(screen.fileno(), 2)
    os.dup2(screen.fileno(), sys.stderr.fileno())

    def too_long(number: int, stack: object) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, too_long)
    logging.getLogger("co2net").addHandler(logging.NullHandler())  # words of ours
    warnings.simplefilter("always", append=True)  # after those that our rooms have set
    before = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (before + MEMORY, resource.RLIM_INFINITY))
    tried: Counter[str] = Counter()
    for number in range(count):
        random = np.random.default_rng([seed, number])
        kind = kinds[number % len(kinds)]
        names = sorted(valid[kind])
        name = names[int(random.integers(len(names)))]
        path = folder / f"x{Path(name).suffix}"
        path.write_bytes(damaged(valid[kind][name], random, everything))
        (folder / "at").write_text(f"{number} {name}\n")
        faulthandler.dump_traceback_later(3 * LIMIT, exit=True, file=report)  # where C code never comes back
        started = time.monotonic()
        found = finding(READERS[kind], path, screen)
        faulthandler.cancel_dump_traceback_later()
        tried[kind] += 1
        if found:
            tried["found"] += 1
            kept = path.rename(folder / f"{number}{path.suffix}")
            print(f"{number} {name}: {found} ({time.monotonic() - started:.1f} s) {kept}", file=report)
    print(", ".join(f"{n} {kind}" for kind, n in tried.items()), file=report)
    return tried


def main() -> int:
    """Read the words, run, and tell whether something was found."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--count", type=int, default=10000)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--folder", type=Path, help="for files; kept, with those that were found")
    words.add_argument("--kinds", default=",".join(READERS))
    options = words.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bad_inputs"))
    return int(run(options.count, options.seed, folder, options.kinds.split(","))["found"] > 0)


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(here), str(here.parent)]
    sys.exit(main())
