"""How fast is video in, video out, and where does the time go?

``harmonize_video`` as a whole (H.264 in and out) on synthetic clips with grain, all ways in turns within one run: the
model that ships, with and without key frames; the paper's pipeline (iSSAM with color mapping and refinement);
classical color transfer frame by frame, with the same reader and writer; and the codec alone, decoding both clips and
encoding the composite as it is. Further tables: the processor time of each stage, the paper's way (every neighbor
through the backbone anew), the length of window and clip, peak memory.

Usage: python benchmarks/bench_pipeline.py [--frames 96] [--rounds 3] [--threads N] [--sizes 480p,1080p] [--long 3000]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does, before PyTorch loads

import av
import numpy as np
import torch
from common import save
from tables import pipeline_tables

from co2net import create_model
from co2net.errors import InputError
from co2net.evaluation.methods import CLASSICAL
from co2net.models.co2net import CO2Net
from co2net.models.registry import load_model
from co2net.pipeline import FrameStream, harmonize_video, stream
from co2net.video import MaskReader, open_mask, open_video, open_writer, pair
from co2net.video import color as video_color
from co2net.video import encoding as video_encoding
from co2net.video.codecs import CODECS, quality_options
from co2net.video.encoding import VideoEncoder
from co2net.video.lazy_colors import LazyColors

SIZES = {"480p": (480, 854), "1080p": (1080, 1920), "4K": (2160, 3840)}
WINDOWS = {0: (0, 0), 4: (2, 2), 8: (4, 4), 16: (8, 8)}
LENGTHS = (24, 48, 96)  # frames of clips that only differ in length
CLASSICAL_METHOD = "Reinhard statistics transfer"
SMALL = (64, 96)  # height and width of the clips for measuring memory
SOURCE = {"preset": "veryfast", "crf": "18"}
Clip = tuple[Path, Path]


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


def write_clip(folder: Path, frames: int, height: int, width: int, *, gray: bool = False) -> Clip:
    """Write composite and mask as H.264 of `frames` frames, grain and all; both loop over the same 24 pictures."""
    paths = folder / f"composite_{height}_{frames}.mp4", folder / f"mask_{height}_{frames}.mp4"
    pictures = [(texture(height, width, n), foreground(height, width, n)) for n in range(min(frames, 24))]
    if gray:  # there and back again: going back to the first picture would be a cut, which ends what strokes say
        pictures = [(picture[..., 1], mask) for picture, mask in pictures + pictures[::-1]]
    for index, path in enumerate(paths):
        output: Any = av.open(str(path), "w")
        video = output.add_stream("libx264", rate=25, width=width, height=height, options=SOURCE)
        video.pix_fmt, video.time_base = "yuv420p", Fraction(1, 25)
        for number in range(frames):
            picture = pictures[number % len(pictures)][index]
            rgb = np.ascontiguousarray(picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2))
            output.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        output.mux(video.encode(None))
        output.close()
    return paths


class Clock:
    """Adds up the processor time of named stages over all of Python's threads; an inner stage's is not the outer's."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = threading.local()
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what runs inside to `name`."""
        stack: list[float] = self._inner.__dict__.setdefault("stack", [])
        stack.append(0.0)
        began = time.thread_time()
        try:
            yield
        finally:
            taken = time.thread_time() - began
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + taken - stack.pop()
            if stack:
                stack[-1] += taken

    def patch(self, owner: Any, method: str, name: str) -> Any:
        """Patch a function so that it is counted to `name`."""
        plain = getattr(owner, method)

        def timed(*arguments: Any, **settings: Any) -> Any:
            with self.stage(name):
                return plain(*arguments, **settings)

        return mock.patch.object(owner, method, timed)

    def patches(self) -> list[Any]:
        """All stages of the pipeline; what runs in no stage are FFmpeg's own threads, and PyTorch's further ones."""
        return [
            self.patch(video_color, "to_rgb", "samples to RGB"),
            self.patch(LazyColors, "at", "samples to RGB"),
            self.patch(LazyColors, "__getitem__", "samples to RGB"),
            self.patch(MaskReader, "_values", "reading masks"),
            self.patch(stream, "shrunk_for", "shrinking"),
            self.patch(stream, "mean_colors", "shrinking"),
            self.patch(FrameStream, "_look_at", "backbone"),
            self.patch(FrameStream, "_ready", "building the LUT"),  # less what follows
            self.patch(CO2Net, "merge", "refinement at the working size"),
            self.patch(stream, "apply_lut", "applying the LUT, blending"),
            self.patch(stream, "apply_merged", "applying the LUT, blending"),
            self.patch(video_encoding, "_change", "RGB back to samples"),
            self.patch(video_color, "add_change", "RGB back to samples"),
            self.patch(VideoEncoder, "write", "codec"),
            self.patch(VideoEncoder, "write_patch", "codec"),
            self.patch(VideoEncoder, "finish", "codec"),
        ]


@dataclass
class Run:
    """One clip, once."""

    frames: int
    seconds: float
    processor_seconds: float
    stages: dict[str, float]


def timed(job: Callable[[Path], int]) -> Run:
    """Run a job that writes to the path it is given and returns the number of frames."""
    clock = Clock()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        for patch in clock.patches():
            stack.enter_context(patch)
        began, processor = time.perf_counter(), time.process_time()
        frames = job(Path(folder) / "out.mp4")
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
    # FFmpeg decodes and encodes in threads of its own.
    clock.seconds["codec"] = clock.seconds.get("codec", 0.0) + processor - sum(clock.seconds.values())
    return Run(frames, seconds, processor, clock.seconds)


def harmonize(model: CO2Net, clip: Clip, output: Path, window: tuple[int, int] = WINDOWS[16], **settings: Any) -> int:
    """Run our way."""
    return harmonize_video(*clip, output, model, *window, **settings).frames


def classical(clip: Clip, output: Path) -> int:
    """Transfer the background's color statistics to the foreground, frame by frame, with the same reader and writer."""
    with (
        open_video(clip[0]) as reader,
        open_mask(clip[1], reader.info) as masks,
        open_writer(output, reader.info) as writer,
    ):
        count = 0
        for frame, mask in pair(reader, masks):
            result = CLASSICAL[CLASSICAL_METHOD](frame.image.astype(np.float32) / 255, mask)
            writer.write(frame, result.astype(np.float32), mask)
            count += 1
    return count


def codec_alone(clip: Clip, output: Path) -> int:
    """Decode both clips and encode the composite as it was decoded, with our settings."""
    codec = CODECS["h264"]
    count = 0
    with av.open(str(clip[0])) as source, av.open(str(clip[1])) as masks, av.open(str(output), "w") as target:
        for opened in (source, masks):
            opened.streams.video[0].thread_type = "AUTO"
        first = source.streams.video[0]
        made: Any = target
        video = made.add_stream(
            codec.encoder, rate=25, width=first.width, height=first.height, options=quality_options(codec, None)
        )
        video.pix_fmt = "yuv420p"
        for frame, _ in zip(source.decode(first), masks.decode(video=0), strict=True):
            frame.pict_type = 0  # type: ignore[assignment]
            target.mux(video.encode(frame))
            count += 1
        target.mux(video.encode(None))
    return count


def compare(ways: dict[str, Callable[[Path], int]], rounds: int) -> list[dict[str, Any]]:
    """Run all ways in turns; the median run of each, per frame, and the share of the codec-alone way's time."""
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            runs[name].append(timed(way))
    rows = []
    for name, found in runs.items():
        median = sorted(found, key=lambda run: run.seconds)[len(found) // 2]
        rows.append(
            {
                "way": name,
                "frames": median.frames,
                "frames_per_second": median.frames / median.seconds,
                "seconds_per_frame": median.seconds / median.frames,
                "processor_seconds_per_frame": median.processor_seconds / median.frames,
                "stages": {stage: seconds / median.frames for stage, seconds in median.stages.items()},
            }
        )
    return rows


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
    model = create_model("co2net", backbone="lutnet", refinement=False)
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder), frames, *SMALL)
        harmonize_video(*clip, Path(folder) / "out.mp4", model)
    # Not getrusage: its maximum is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def any_model() -> tuple[CO2Net, str]:
    """The weights that ship; random ones of LUTNet where none do (the time does not depend on them)."""
    try:
        return load_model("default"), "default"
    except InputError:
        return create_model("co2net", backbone="lutnet", refinement=False), "random"


def paper_model() -> CO2Net:
    """The paper's networks: shipped, or with random weights."""
    try:
        return load_model("co2net_issam")
    except InputError:
        return create_model("co2net", mapping="smooth")


def all_ways(clip: Clip, default: CO2Net) -> dict[str, Callable[[Path], int]]:
    """Every way to the result, named for the table."""
    paper = paper_model()
    ways: dict[str, Callable[[Path], int]] = {}

    def ours(name: str, model: CO2Net, **settings: Any) -> None:
        ways[name] = lambda output: harmonize(model, clip, output, **settings)

    ours("default model", default)
    ours("default model, key frames", default, key_frames="auto")
    ours("default model, key frames, ultrafast", default, key_frames="auto", preset="ultrafast")
    ours("paper's pipeline", paper, precision="full")
    ours("paper's pipeline, bfloat16", paper)
    ours("paper's pipeline, key frames", paper, key_frames="auto")
    ways[CLASSICAL_METHOD] = partial(classical, clip)
    ways["codec alone"] = partial(codec_alone, clip)
    return ways


def main() -> None:
    """Run, print the tables, write results/pipeline.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=96, help="frames per clip and measurement; at 4K a quarter")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way; the median counts")
    parser.add_argument("--sizes", default=",".join(SIZES), help=f"of {', '.join(SIZES)}")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--long", type=int, default=3000, help="frames of the long clip for measuring memory")
    parser.add_argument("--only-memory-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_memory_of is not None:
        memory_child(options.only_memory_of)
        return
    if unknown := {*options.sizes.split(",")} - {*SIZES}:
        parser.error(f"unknown size {', '.join(sorted(unknown))}; choose from {', '.join(SIZES)}")
    torch.set_num_threads(options.threads)
    default, weights = any_model()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        warm_up = write_clip(Path(folder), 3, *SIZES["480p"])
        compare(all_ways(warm_up, default), 1)
        for size in options.sizes.split(","):
            frames = max(3, options.frames // 4) if size == "4K" else options.frames
            clip = write_clip(Path(folder), frames, *SIZES[size])
            rows += [
                {"question": "size", "size": size, **row} for row in compare(all_ways(clip, default), options.rounds)
            ]
        clips = {length: write_clip(Path(folder), length, *SIZES["480p"]) for length in LENGTHS}
        windows = {
            str(neighbors): lambda output, window=window: harmonize(default, clips[LENGTHS[0]], output, window)
            for neighbors, window in WINDOWS.items()
        }
        rows += [{"question": "window", **row} for row in compare(windows, options.rounds)]
        lengths = {
            str(length): lambda output, clip=clip: harmonize(default, clip, output) for length, clip in clips.items()
        }
        rows += [{"question": "length", **row} for row in compare(lengths, options.rounds)]
    rows.append({"question": "paper", "neighbors": 16, **papers_way(paper_model(), 16)})
    for frames in (100, options.long) if sys.platform == "linux" else ():
        height, width = SMALL
        rows.append({"question": "memory", "size": f"{width}x{height}", "frames": frames, "mib": peak_memory(frames)})
    settings = {
        "frames": options.frames, "threads": options.threads, "weights": weights, "backbone": default.backbone.title,
        "mapping": default.mapping.name, "refinement": default.refinement, "preset": CODECS["h264"].options["preset"],
    }  # fmt: skip
    print(pipeline_tables(rows, settings))
    print(f"written: {save('pipeline', rows, **settings).name}")


if __name__ == "__main__":
    main()
