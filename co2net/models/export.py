"""Networks for other programs: ONNX files and ``torch.export`` programs, compared with PyTorch before they are kept.

A file holds one look at a frame of a fixed size: composite and mask in; of a network that predicts the color mapping a
LUT and the error that it expects come out, of one that paints the picture. The LUT is left to the caller, who has a
texture unit or a grading program for it; ``apply`` adds it as gathers and sums, for frames of any size, without the 5-D
sampling that browsers and most runtimes lack.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import tridistribute
import trilinear
from co2net.checks import check_choice
from co2net.errors import InputError, OutputError
from co2net.files import partial_path, put_in_place, remove
from co2net.models.backbones.base import Backbone
from co2net.models.registry import create_backbone, weights_path
from co2net.provenance import file_sha256, version
from trilinear.reference import EXTENT

Format = Literal["onnx", "torch-export"]
ENDINGS: dict[str, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
NETWORKS = ("lutnet", "tonenet", "issam")
OPSET = 18
TOLERANCE = 2e-3
"""Largest difference from PyTorch, half an 8-bit level: sums in float32, colors on the border of two bins."""
_FRAME = (96, 160)  # height and width that frames of any size are tried with


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        inputs: name and shape of each input; None stands for any number.
        outputs: names.
        difference: largest absolute difference from PyTorch that was seen.
    """

    path: Path
    inputs: dict[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    difference: float


class _Predictor(nn.Module):
    names, results = ("image", "mask"), ("lut", "expected_error")

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return self.network.predict(image, mask)


class _Harmonizer(_Predictor):
    names, results = ("image", "mask", "frame", "frame_mask"), ("harmonized", "lut", "expected_error")

    def forward(  # type: ignore[override]
        self, image: Tensor, mask: Tensor, frame: Tensor, frame_mask: Tensor
    ) -> tuple[Tensor, ...]:
        lut, expected_error = self.network.predict(image, mask)
        colors = trilinear.apply_lut(lut, frame)
        return (frame + frame_mask * (colors - frame)).clamp(0, 1), lut, expected_error


class _Painter(_Predictor):
    results = ("harmonized",)

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return (self.network(image, mask).image.clamp(0, 1),)


def export_network(
    name: str,
    output: str | Path | None = None,
    *,
    format: Format = "onnx",
    weights: str = "default",
    apply: bool = False,
    size: int | None = None,
) -> Exported:
    """Write a network for other programs, after comparing what it gives there with PyTorch.

    Inputs are float32, ``image`` ``(1, 3, S, S)`` in [0, 1] (the frame, shrunk by averaging areas) and ``mask``
    ``(1, 1, S, S)``. Outputs of networks that predict the mapping: ``lut`` ``(1, 3, P, P, P)``, indexed
    [channel, b, g, r], and ``expected_error`` ``(1,)``, squared; of one that paints: ``harmonized`` ``(1, 3, S, S)``.

    Args:
        name: one of :data:`NETWORKS`.
        output: the file; None: ``<name>.onnx`` or ``<name>.pt2``.
        format: "onnx" for ONNX Runtime and browsers, "torch-export" for PyTorch without this package.
        weights: "default", the name of shipped weights, or a file.
        apply: two more inputs, ``frame`` ``(1, 3, H, W)`` and ``frame_mask`` ``(1, 1, H, W)`` of any size, and the
            output ``harmonized``: the frame with the LUT applied inside the mask.
        size: S of a network that paints; None: its training size. Others have a size of their own.

    Returns:
        What was written.

    Raises:
        InputError: no such network or format, a setting does not fit it, or a package is missing.
        OutputError: the file cannot be written, or its results differ from PyTorch's; nothing is left then.
    """
    if name not in NETWORKS:
        raise InputError(f"{name} is not exported; there are {', '.join(NETWORKS)}")
    check_choice("format", format, ENDINGS)
    path = Path(output) if output is not None else Path(f"{name}{ENDINGS[format]}")
    if path.suffix != ENDINGS[format]:
        raise InputError(f"`output` {path}: a file of the format {format} ends in {ENDINGS[format]}")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"`output` {path}: the folder does not exist; make it first")
    needed = ("onnx", "onnxscript", "onnxruntime") if format == "onnx" else ()
    for package in needed:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise InputError(f"`format` onnx needs {package}; pip install 'co2net[onnx]'") from error
    network = create_backbone(name, weights)
    side = _side(network, name, size)
    if apply and not network.predicts_mapping:
        raise InputError(f"{name} paints, it predicts no LUT to `apply`")
    kind = _Painter if not network.predicts_mapping else _Harmonizer if apply else _Predictor
    module = kind(network).eval()
    facts = {
        "co2net": version(),
        "network": name,
        "weights": file_sha256(weights_path(weights, name, refinement=False)),
        "size": str(side),
    }
    partial = partial_path(path)
    try:
        with _plain_operators(), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's, about itself
            write = _write_onnx if format == "onnx" else _write_program
            write(module, _example(side, apply, 0), partial, facts)
        run = _onnx_runner(partial) if format == "onnx" else _program_runner(partial)
        difference = max(_difference(module, run, _example(side, apply, seed)) for seed in (1, 2, 3))
        if not difference <= TOLERANCE:
            raise OutputError(f"{path}: differs from PyTorch by {difference:.2g}, more than {TOLERANCE}; not written")
        put_in_place(partial, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        remove(partial)
    shapes = {text: tuple(tensor.shape) for text, tensor in zip(module.names, _example(side, apply, 0), strict=True)}
    free = {text: (1, shape[1], None, None) for text, shape in shapes.items() if text.startswith("frame")}
    return Exported(path, {**shapes, **free}, module.results, difference)


def _side(network: Backbone, name: str, size: int | None) -> int:
    if network.predicts_mapping:
        if size is not None:
            raise InputError(f"`size`: {name} looks at {network.frame_size} pixels and no others")
        return network.frame_size
    side = size or network.training_size
    if side % network.size_multiple or side < network.size_multiple:
        raise InputError(f"`size` {side}: {name} takes multiples of {network.size_multiple}")
    return side


def _example(side: int, apply: bool, seed: int) -> tuple[Tensor, ...]:
    """A soft picture with a soft disc; what is compared must not be noise only."""
    random = torch.Generator().manual_seed(seed)

    def picture(height: int, width: int) -> tuple[Tensor, Tensor]:
        coarse = torch.rand(1, 3, 5, 7, generator=random)
        image = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
        image = (image + 0.05 * torch.randn(1, 3, height, width, generator=random)).clamp(0, 1)
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        center = 0.3 * torch.randn(2, generator=random)
        distance = ((x - center[0]) ** 2 + (y - center[1]) ** 2).sqrt()
        return image, ((0.55 - distance) / 0.1).clamp(0, 1)[None, None]

    small = picture(side, side)
    return (*small, *picture(*_FRAME)) if apply else small


def _write_onnx(module: _Predictor, example: tuple[Tensor, ...], path: Path, facts: dict[str, str]) -> None:
    program = torch.onnx.export(
        module,
        example,
        input_names=list(module.names),
        output_names=list(module.results),
        dynamic_shapes=_free_sizes(module),
        opset_version=OPSET,
        dynamo=True,
        optimize=False,  # its fusion of neighboring clamps leaves inputs without a source; runtimes optimize themselves
        external_data=False,
        verbose=False,
    )
    assert program is not None  # noqa: S101  (of this exporter)
    program.model.metadata_props.update(facts)
    program.save(str(path), external_data=False)


def _write_program(module: _Predictor, example: tuple[Tensor, ...], path: Path, facts: dict[str, str]) -> None:
    program = torch.export.export(module, example, dynamic_shapes=_free_sizes(module), strict=False)
    torch.export.save(program, path, extra_files={"co2net": "\n".join(f"{k}: {v}" for k, v in facts.items())})


def _free_sizes(module: _Predictor) -> Any:
    if len(module.names) == 2:
        return None
    free = {2: torch.export.Dim("height", min=2, max=16384), 3: torch.export.Dim("width", min=2, max=16384)}
    return {"image": None, "mask": None, "frame": free, "frame_mask": free}


def _onnx_runner(path: Path) -> Any:
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(*tensors: Tensor) -> Sequence[Tensor]:
        found = session.run(None, {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)})
        return [torch.from_numpy(array) for array in found]

    return run


def _program_runner(path: Path) -> Any:
    return torch.export.load(path).module()


def _difference(module: nn.Module, run: Any, example: tuple[Tensor, ...]) -> float:
    with torch.no_grad():
        wanted, found = module(*example), run(*example)
    return max(float((one - other).abs().max()) for one, other in zip(wanted, found, strict=True))


@contextmanager
def _plain_operators() -> Iterator[None]:
    """Meanwhile kernels, a solver, a search and an enlargement are written in what every program knows."""
    plain = (
        (trilinear, "apply_lut", read_lut),
        (tridistribute, "accumulate", add_up),
        (torch, "searchsorted", _search),
        (torch, "autocast", lambda *settings, **more: nullcontext()),
        (torch.linalg, "solve", _solve),
        (F, "interpolate", _interpolate(F.interpolate)),
    )
    with ExitStack() as stack:
        for owner, name, function in plain:
            stack.enter_context(mock.patch.object(owner, name, function))
        yield


def read_lut(lut: Tensor, image: Tensor, count: None = None) -> Tensor:
    """:func:`trilinear.apply_lut` by eight gathers, in float32."""
    points, flat = lut.shape[-1], lut.flatten(2)
    position = image.clamp(0, 1).flatten(2) * ((points - 1) / EXTENT)
    near = position.floor().clamp(max=points - 2)
    far_share = position - near
    corner = near.long()
    out = torch.zeros_like(position)
    for number in range(8):
        sides = (number & 1, number >> 1 & 1, number >> 2)
        shares = [far_share[:, k] if side else 1 - far_share[:, k] for k, side in enumerate(sides)]
        r, g, b = (corner[:, k] + side for k, side in enumerate(sides))
        cell = (b * points + g) * points + r
        weight = (shares[0] * shares[1] * shares[2])[:, None]
        out = out + weight * flat.gather(2, cell[:, None].expand(-1, 3, -1))
    return out.reshape(image.shape)


def add_up(source: Tensor, target: Tensor, mask: Tensor, dim: int) -> Tensor:
    """:func:`tridistribute.accumulate` by one scattered sum over all corners, in float32."""
    position = source.clamp(0, 1).flatten(2) * ((dim - 1) / EXTENT)
    near = position.floor().clamp(max=dim - 2)
    far_share = (position - near)[:, None]
    sides = torch.tensor([[number & 1, number >> 1 & 1, number >> 2] for number in range(8)])[None, :, :, None]
    shares = torch.where(sides > 0, far_share, 1 - far_share)  # (B, 8, 3, N)
    weight = shares[:, :, 0] * shares[:, :, 1] * shares[:, :, 2]
    cell = ((near.long()[:, None] + sides) * torch.tensor([1, dim, dim * dim])[:, None]).sum(dim=2)
    gate = (mask.flatten(2) > 0.5).to(source.dtype)
    values = torch.cat([target.flatten(2) * gate, gate], dim=1)
    parts = (values[:, :, None] * weight[:, None]).flatten(2)  # (B, 4, 8 N)
    volume = source.new_zeros(source.shape[0], 4, dim**3)
    volume = volume.scatter_add(2, cell.flatten(1)[:, None].expand(-1, 4, -1), parts)
    return volume.reshape(-1, 4, dim, dim, dim)


def _search(rising: Tensor, wanted: Tensor) -> Tensor:
    """How many of the rising numbers of a row are below each wanted one."""
    return (rising[..., None, :] < wanted[..., :, None]).sum(dim=-1)


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Gauss and Jordan without pivots: the matrices here are symmetric and positive."""
    both = torch.cat([matrix, right], dim=2)
    for k in range(matrix.shape[1]):
        row = both[:, k : k + 1] / both[:, k : k + 1, k : k + 1]
        rest = both - both[:, :, k : k + 1] * row
        both = torch.cat([rest[:, :k], row, rest[:, k + 1 :]], dim=1)
    return both[:, :, matrix.shape[2] :]


def _interpolate(usual: Any) -> Any:
    """Trilinear enlargement as a product along each axis; everything else as usual."""

    def enlarge(
        picture: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", *more: Any, **settings: Any
    ) -> Tensor:
        if mode != "trilinear":
            return usual(picture, size, scale_factor, mode, *more, **settings)
        for axis, points in enumerate(size, start=2):
            count = picture.shape[axis]
            place = torch.linspace(0, count - 1, points)
            weights = (1 - (place[:, None] - torch.arange(count)).abs()).clamp(min=0)
            picture = (picture.movedim(axis, -1) @ weights.T).movedim(-1, axis)
        return picture

    return enlarge
