"""What does a video cost beyond its one backbone pass per frame?

Measures ``harmonize_video`` as a whole (decoding, backbone, color mapping, blending, encoding) on a synthetic clip, in
units of one backbone pass. The passes of reference run in turns with the frames of the same run, between two of them,
and their time is taken off again: whatever slows the machine slows both. Further tables: where the time goes, the
paper's way (every neighbor through the backbone anew), the length of the window, peak memory of short and long clips.

Usage: python benchmarks/bench_pipeline.py [--frames 24] [--threads N] [--long 1000]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import av
import numpy as np
import torch
from common import save
from tables import pipeline_tables

from co2net import create_model
from co2net.errors import InputError
from co2net.models.co2net import CO2Net
from co2net.models.registry import load_model
from co2net.pipeline import harmonize as file_to_file
from co2net.pipeline import harmonize_video, stream
from co2net.video.writer import Writer

SIZES = {"480p": (480, 854), "1080p": (1080, 1920)}
WINDOWS = {0: (0, 0), 4: (2, 2), 8: (4, 4), 16: (8, 8)}
SMALL = (64, 96)  # height and width of the clips for measuring memory


def texture(height: int, width: int, number: int) -> np.ndarray:
    """Return a colored texture that moves, with grain: ``(H, W, 3)`` uint8."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    scale = height / 480
    waves = [
        np.sin((x + 3 * number) / (20 + 9 * c) / scale) + np.cos((y - 2 * number) / (31 - 5 * c) / scale)
        for c in range(3)
    ]
    picture = 0.5 + 0.2 * np.stack(waves, axis=-1)
    picture += np.random.default_rng(number).normal(0, 0.01, (height, width, 1)).astype(np.float32)
    return (picture.clip(0, 1) * 255).astype(np.uint8)


def foreground(height: int, width: int, number: int) -> np.ndarray:
    """Return an ellipse with a soft edge over about a fifth of the frame, wandering: ``(H, W)`` uint8."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot((x - width * (0.4 + 0.004 * number)) / (0.22 * width), (y - 0.55 * height) / (0.3 * height))
    return (((1 - distance) * height / 24).clip(0, 1) * 255).astype(np.uint8)


def write_clip(folder: Path, frames: int, height: int, width: int) -> tuple[Path, Path]:
    """Write composite and mask as H.264 of `frames` frames; both loop over the same 24 pictures."""
    paths = folder / f"composite_{height}_{frames}.mp4", folder / f"mask_{height}_{frames}.mp4"
    pictures = [(texture(height, width, n), foreground(height, width, n)) for n in range(min(frames, 24))]
    for index, path in enumerate(paths):
        output: Any = av.open(str(path), "w")
        video = output.add_stream("libx264", rate=25, width=width, height=height, options={"preset": "veryfast"})
        video.pix_fmt, video.time_base = "yuv420p", Fraction(1, 25)
        for number in range(frames):
            picture = pictures[number % len(pictures)][index]
            rgb = np.ascontiguousarray(picture if index == 0 else np.repeat(picture[..., None], 3, axis=2))
            output.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        output.mux(video.encode(None))
        output.close()
    return paths


class Clock:
    """Adds up the time spent in named stages; the inner stage's time is not counted in the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = 0.0

    def _switch(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] = self.seconds.get(self._running[-1], 0.0) + now - self._since
        self._since = now

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what runs inside to `name`."""
        self._switch()
        self._running.append(name)
        try:
            yield
        finally:
            self._switch()
            self._running.pop()

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, counted to `name`."""

        def timed(*arguments: Any, **settings: Any) -> Any:
            with self.stage(name):
                return function(*arguments, **settings)

        return timed

    def around_iterator(self, name: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Return `function`, the steps of its iterator counted to `name`."""

        def timed(*arguments: Any) -> Iterator[Any]:
            items = function(*arguments)
            while True:
                with self.stage(name):
                    item = next(items, None)
                if item is None:
                    return
                yield item

        return timed


def measure(clip: tuple[Path, Path], model: CO2Net, window: tuple[int, int]) -> dict[str, Any]:
    """Harmonize a clip; per frame: the time in all, of each stage, and of one backbone pass in between."""
    clock = Clock()
    image, mask = (
        torch.rand(1, 3, model.training_size, model.training_size),
        torch.zeros(1, 1, *[model.training_size] * 2),
    )
    mask[..., 60:180, 60:180] = 1
    plain = model.run_backbone
    passes: list[float] = []

    def reference(done: int, total: int | None) -> None:
        with clock.stage("reference"):
            start = time.perf_counter()
            plain(image, mask)
            passes.append(time.perf_counter() - start)

    patches = [
        mock.patch.object(model, "run_backbone", clock.around("backbone", plain)),
        mock.patch.object(model, "frame_volume", clock.around("gathering colors", model.frame_volume)),
        mock.patch.object(model, "color_mapping", clock.around("making the table", model.color_mapping)),
        mock.patch.object(stream, "window_volume", clock.around("making the table", stream.window_volume)),
        mock.patch.object(file_to_file, "pair", clock.around_iterator("decoding", file_to_file.pair)),
        mock.patch.object(Writer, "write", clock.around("encoding", Writer.write)),
        mock.patch.object(Writer, "close", clock.around("encoding", Writer.close)),
    ]
    with ExitStack() as patched, tempfile.TemporaryDirectory() as folder:
        for patch in patches:
            patched.enter_context(patch)
        with clock.stage("reading the table, blending"):  # what no other stage claims
            report = harmonize_video(*clip, Path(folder) / "out.mp4", model, *window, on_progress=reference)
    clock.seconds.pop("reference")
    stages = {name: seconds / report.frames for name, seconds in clock.seconds.items()}
    per_frame, one_pass = sum(stages.values()), statistics.median(passes)
    return {
        "seconds_per_frame": per_frame,
        "pass_seconds": one_pass,
        "passes": per_frame / one_pass,
        "stages": stages,
    }


def papers_way(model: CO2Net, neighbors: int, frames: int = 3) -> dict[str, Any]:
    """Time the batch computation, every neighbor through the backbone anew, at the working size; networks only.

    One neighbor goes at a time: on a CPU a batch of all of them takes longer.
    """
    size = model.training_size
    images = torch.from_numpy(np.stack([texture(size, size, n) for n in range(neighbors + 1)]))
    images = images.permute(0, 3, 1, 2).float().contiguous() / 255
    masks = torch.from_numpy(np.stack([foreground(size, size, n) for n in range(neighbors + 1)]))[:, None].float() / 255
    seconds, passes = [], []
    with torch.inference_mode(), mock.patch.object(model, "neighbor_pixels", size * size):
        for _ in range(frames):
            start = time.perf_counter()
            model.run_backbone(images[:1], masks[:1])
            middle = time.perf_counter()
            model(images[:1], masks[:1], images[None, 1:], masks[None, 1:])
            passes.append(middle - start)
            seconds.append(time.perf_counter() - middle)
    per_frame, one_pass = statistics.median(seconds), statistics.median(passes)
    return {"seconds_per_frame": per_frame, "pass_seconds": one_pass, "passes": per_frame / one_pass, "frames": frames}


def peak_memory(frames: int) -> float:
    """MiB that a process of its own needs to harmonize a small clip of that length."""
    command = [sys.executable, __file__, "--only-memory-of", str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def memory_child(frames: int) -> None:
    """Harmonize a small clip and print the process's peak memory in MiB (Linux)."""
    torch.set_num_threads(1)
    model = create_model("co2net", refinement=False)
    model.training_size = 32
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder), frames, *SMALL)
        harmonize_video(*clip, Path(folder) / "out.mp4", model)
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def any_model() -> tuple[CO2Net, str]:
    """The weights that ship; random ones where none do (the time does not depend on them)."""
    try:
        return load_model("default"), "default"
    except InputError:
        return create_model("co2net", refinement=False, mapping="smooth"), "random"


def main() -> None:
    """Run, print the tables, write results/pipeline.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=24, help="frames per clip and measurement")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--long", type=int, default=1000, help="frames of the long clip for measuring memory")
    parser.add_argument("--only-memory-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_memory_of is not None:
        memory_child(options.only_memory_of)
        return
    torch.set_num_threads(options.threads)
    model, weights = any_model()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        sizes = {name: write_clip(Path(folder), options.frames, *size) for name, size in SIZES.items()}
        warm_up = write_clip(Path(folder), 3, *SIZES["480p"])
        measure(warm_up, model, (1, 1))
        for name, clip in sizes.items():
            rows.append({"question": "size", "size": name, "neighbors": 16, **measure(clip, model, WINDOWS[16])})
        for neighbors, window in WINDOWS.items():
            found = measure(sizes["480p"], model, window)
            rows.append({"question": "window", "size": "480p", "neighbors": neighbors, **found})
    rows.append({"question": "paper", "size": "256x256", "neighbors": 16, **papers_way(model, 16)})
    for frames in (options.long // 10, options.long) if sys.platform == "linux" else ():
        height, width = SMALL
        rows.append({"question": "memory", "size": f"{width}x{height}", "frames": frames, "mib": peak_memory(frames)})
    settings = {
        "frames": options.frames, "threads": options.threads, "weights": weights, "mapping": model.mapping,
        "refinement": model.refinement, "working_size": model.training_size,
    }  # fmt: skip
    print(pipeline_tables(rows, settings))
    print(f"written: {save('pipeline', rows, **settings).name}")


if __name__ == "__main__":
    main()
