"""How fast are LUTs applied and built, and how does that compare?

Rivals for applying: the definition in PyTorch, ``torch.nn.functional.grid_sample`` on the LUT as a 3D volume,
OpenColorIO's CPU processor (trilinear and tetrahedral, RGBA float32, packed), Pillow's filter and FFmpeg's lut3d (both
8 bit). The last three run on one thread. For writing: the definition in PyTorch. Every pixel is in the mask, the
dearest case.

Usage: python benchmarks/bench_lut.py [--height 1080] [--width 1920] [--rounds 15]
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import torch.nn.functional as F
from av.filter import Graph
from common import compare, print_table, rows_of, save
from PIL import Image, ImageFilter
from torch import Tensor

import tridistribute
import trilinear
from co2net.color_mapping.cube import save_cube
from tridistribute import reference as tridistribute_reference
from trilinear import reference as trilinear_reference

ocio: Any = importlib.import_module("PyOpenColorIO")  # a compiled module that type checkers cannot look into
DIM = 33
OURS = "co2net"


def picture(height: int, width: int, seed: int) -> Tensor:
    """Return a smooth 8-bit picture with a little noise, ``(1, 3, H, W)`` in [0, 1]: how a frame visits the LUT."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, height // 40 + 2, width // 40 + 2), generator=generator)
    smooth = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    noise = 0.02 * torch.randn(smooth.shape, generator=generator)
    return ((smooth + noise).clamp(0, 1) * 255).round() / 255


def grade() -> Tensor:
    """Return a warm, soft look as a LUT ``(1, 3, D, D, D)``."""
    axis = torch.linspace(0, 1, DIM)
    b, g, r = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([0.9 * r**0.8 + 0.1 * g, 0.8 * g + 0.2 * r * b, 0.9 * b**1.2])[None].contiguous()


def grid_sample(lut: Tensor, image: Tensor) -> Tensor:
    """Read the LUT as a volume, axes (b, g, r)."""
    grid = (image * 2 - 1).permute(0, 2, 3, 1)[:, None]
    return F.grid_sample(lut, grid, align_corners=True)[:, :, 0]


def opencolorio(lut: Tensor, image: Tensor, interpolation: Any) -> Callable[[], np.ndarray]:
    """Return a call that applies the LUT with OpenColorIO into an array of its own, ``(H, W, 4)``."""
    transform = ocio.Lut3DTransform(gridSize=DIM, interpolation=interpolation)
    transform.setData(lut[0].permute(3, 2, 1, 0).contiguous().flatten().numpy())  # blue fastest
    processor = ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor()
    height, width = image.shape[2:]
    source = np.ones((height, width, 4), np.float32)
    source[..., :3] = image[0].permute(1, 2, 0).numpy()
    result = np.empty_like(source)
    source_layout = ocio.PackedImageDesc(source, width, height, 4)
    result_layout = ocio.PackedImageDesc(result, width, height, 4)

    def call(source: np.ndarray = source) -> np.ndarray:  # the layouts do not keep their arrays alive
        processor.apply(source_layout, result_layout)
        return result

    return call


def pillow(lut: Tensor, image: Tensor) -> Callable[[], Image.Image]:
    """Return a call that applies the LUT with Pillow, 8 bit in and out."""
    lut_filter = ImageFilter.Color3DLUT(DIM, lut[0].permute(1, 2, 3, 0).flatten().tolist())  # red fastest
    source = Image.fromarray((image[0].permute(1, 2, 0) * 255).round().byte().numpy())
    return lambda: source.filter(lut_filter)


def ffmpeg(lut: Tensor, image: Tensor) -> Callable[[], av.VideoFrame]:
    """Return a call that applies the LUT with FFmpeg's filter lut3d, trilinear, 8 bit in and out, on one thread."""
    height, width = image.shape[2:]
    with tempfile.TemporaryDirectory() as folder:  # the filter reads the file when it is made
        cube = Path(folder) / "grade.cube"
        save_cube(lut, cube)
        graph = Graph()
        source = graph.add("buffer", f"video_size={width}x{height}:pix_fmt=rgb24:time_base=1/25")
        filtered = graph.add("lut3d", f"file={cube}:interp=trilinear:threads=1")
        sink = graph.add("buffersink")
        source.link_to(filtered)
        filtered.link_to(sink)
        graph.configure()
    codes = (image[0].permute(1, 2, 0) * 255).round().byte().contiguous()
    frame = av.VideoFrame.from_ndarray(codes.numpy(), format="rgb24")
    frame.pts, frame.time_base = 0, Fraction(1, 25)

    def call() -> av.VideoFrame:
        graph.push(frame)
        found: Any = graph.pull()
        return found

    return call


def check_equal_footing(readers: dict[str, Callable[[], Any]]) -> None:
    """Stop if a rival computes something else: the axes differ by a factor 1.000001, Pillow rounds to 8 bit."""
    wanted = readers[OURS]()[0].permute(1, 2, 0)
    for name, read in readers.items():
        result = read()
        if isinstance(result, Image.Image):
            result = torch.from_numpy(np.array(result)) / 255
        elif isinstance(result, av.VideoFrame):
            result = torch.from_numpy(result.to_ndarray(format="rgb24")) / 255
        elif isinstance(result, np.ndarray):
            result = torch.from_numpy(result)[..., :3]
        else:
            result = result[0].permute(1, 2, 0)
        worst = (result - wanted).abs().max().item()
        allowed = {"Pillow, 8 bit": 0.01, "FFmpeg lut3d, 8 bit": 0.01, "OpenColorIO tetrahedral": 0.01}.get(name, 1e-4)
        if worst > allowed:
            raise SystemExit(f"{name} computes something else: off by {worst:.3g}")


def main() -> None:
    """Run, print the tables, write results/lut.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    size = (options.height, options.width)
    image, target, mask = picture(*size, seed=0), picture(*size, seed=1), torch.ones(1, 1, *size)
    lut = grade()
    _, count = tridistribute.build_lut(image, target, mask)
    volume = tridistribute.accumulate(image, target, mask)
    frame, frame_mask, box = (
        (image[0].permute(1, 2, 0) * 255).round().byte().contiguous(),
        mask[0, 0],
        (0, size[0], 0, size[1]),
    )
    small_mask = torch.zeros(size)
    small_mask[: size[0] // 3, : 3 * size[1] // 10] = 1
    if trilinear.backend(image) != "cpp" or tridistribute.backend(image) != "cpp":
        raise SystemExit("the C++ kernels do not run here; install a compiler, or unset CO2NET_NATIVE")

    single = {
        "OpenColorIO trilinear": opencolorio(lut, image, ocio.INTERP_LINEAR),
        "OpenColorIO tetrahedral": opencolorio(lut, image, ocio.INTERP_TETRAHEDRAL),
        "Pillow, 8 bit": pillow(lut, image),
        "FFmpeg lut3d, 8 bit": ffmpeg(lut, image),
    }
    readers = {
        OURS: lambda: trilinear.apply_lut(lut, image),
        "PyTorch definition": lambda: trilinear_reference.apply_lut(lut, image),
        "PyTorch grid_sample": lambda: grid_sample(lut, image),
    }
    jobs = {
        "apply_lut": (readers, single),
        "apply_lut with count": (
            {
                OURS: lambda: trilinear.apply_lut(lut, image, count),
                "PyTorch definition": lambda: trilinear_reference.apply_lut(lut, image, count),
            },
            {},
        ),
        "apply_lut_frame, 8 bit": (
            {
                OURS: lambda: trilinear.apply_lut_frame(lut, frame, frame_mask),
                "PyTorch definition": lambda: trilinear_reference.apply_lut_frame(lut, frame, frame_mask, 1.0, box),
            },
            {name: call for name, call in single.items() if name.endswith("8 bit")},  # without a mask
        ),
        "apply_lut_frame, 8 bit, mask on a tenth": (
            {
                OURS: lambda: trilinear.apply_lut_frame(lut, frame, small_mask),
                "PyTorch definition": lambda: trilinear_reference.apply_lut_frame(lut, frame, small_mask, 1.0, box),
            },
            {},
        ),
        "unseen_map": (
            {
                OURS: lambda: trilinear.unseen_map(count, image),
                "PyTorch definition": lambda: trilinear_reference.unseen_map(count, image),
            },
            {},
        ),
        "build_lut": (
            {
                OURS: lambda: tridistribute.build_lut(image, target, mask),
                "PyTorch definition": lambda: tridistribute.normalize(
                    tridistribute_reference.accumulate(image, target, mask, DIM)
                ),
            },
            {},
        ),
        "gradient of apply_lut": (
            {
                OURS: lambda: trilinear.ops.apply_lut_backward(target, lut, image, count, True, True),
                "PyTorch definition": lambda: trilinear_reference.apply_lut_backward(
                    target, lut, image, count, True, True
                ),
            },
            {},
        ),
        "gradient of accumulate": (
            {
                OURS: lambda: tridistribute.ops.accumulate_backward(volume, image, target, mask, True, True),
                "PyTorch definition": lambda: tridistribute_reference.accumulate_backward(
                    volume, image, target, mask, True, True
                ),
            },
            {},
        ),
    }
    check_equal_footing(readers | single)
    cores, rows = torch.get_num_threads(), []
    for threads in sorted({1, cores}):
        torch.set_num_threads(threads)
        for job, (alternatives, one_thread_only) in jobs.items():
            contenders = alternatives | (one_thread_only if threads == 1 else {})
            rounds = options.rounds if "gradient" not in job else max(3, options.rounds // 3)
            timings = compare(contenders, rounds)
            rows += rows_of(timings, OURS, {"job": job, "threads": threads})
    print_table(rows)
    path = save("lut", rows, height=options.height, width=options.width, dim=DIM, dtype="float32")
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()
