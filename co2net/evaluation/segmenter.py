"""A segmentation network of the user's: a file that runs without its code, and pictures in, masks out."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from co2net.errors import InputError

SIDE = 512  # height and width that the segmenter is shown, as in SVCNet's protocol
ENDINGS = (".onnx", ".pt2", ".pt", ".pth", ".ts", ".torchscript")


class Segmenter:
    """Marks the foreground of pictures.

    Args:
        path: ``.onnx``; ``.pt2``, a program of ``torch.export``; otherwise TorchScript. It takes ``(1, 3, 512, 512)``
            RGB in [0, 1] (its normalization is inside), and its first result is ``(1, C, h, w)``: of two or more
            classes the likelier is taken, class 0 the background; a single plane is a probability.

    Raises:
        InputError: no such file, or it cannot be run here.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"the segmenter {path} does not exist")
        if path.suffix.lower() not in ENDINGS:
            raise InputError(f"the segmenter {path} must end in one of {', '.join(ENDINGS)}")
        self._path = path
        open_it = {".onnx": _onnx, ".pt2": _exported}.get(path.suffix.lower(), _scripted)
        self._run = open_it(path)

    @torch.no_grad()
    def __call__(self, image: Tensor, shape: tuple[int, ...]) -> np.ndarray:
        """Where the foreground is.

        Args:
            image: ``(3, H, W)`` in [0, 1].
            shape: height and width of the mask.

        Returns:
            ``shape``, bool.

        Raises:
            InputError: the network fails, or gives no such planes.
        """
        shown = F.interpolate(image[None].float().cpu().clamp(0, 1), (SIDE, SIDE), mode="bilinear", antialias=True)
        try:
            found = self._run(shown)
        except Exception as error:  # whatever a foreign network does
            raise InputError(f"the segmenter {self._path} fails on a picture of {SIDE} x {SIDE}: {error}") from error
        if not isinstance(found, Tensor) or found.ndim != 4 or len(found) != 1:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError(f"the segmenter {self._path} must give (1, C, h, w) first, got {got}")
        planes = F.interpolate(found.float(), shape, mode="bilinear", align_corners=False)[0]
        marked = planes[0] > 0.5 if len(planes) == 1 else planes.argmax(dim=0) > 0
        return marked.numpy()


def _first(result: Any) -> Any:
    while isinstance(result, (tuple, list)) and result:
        result = result[0]
    return next(iter(result.values())) if isinstance(result, dict) else result


def _scripted(path: Path) -> Callable[[Tensor], Any]:
    try:
        network = torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"the segmenter {path} is no TorchScript file: {str(error).splitlines()[0]}; weights alone do not say what "
            "to compute, export the network"
        ) from error
    return lambda shown: _first(network(shown))


def _exported(path: Path) -> Callable[[Tensor], Any]:
    try:
        network = torch.export.load(str(path)).module()
    except Exception as error:  # it has many kinds
        raise InputError(f"the segmenter {path} is no program of torch.export: {error}") from error
    return lambda shown: _first(network(shown))


def _onnx(path: Path) -> Callable[[Tensor], Any]:
    if importlib.util.find_spec("onnxruntime") is None:
        raise InputError(f"the segmenter {path} needs onnxruntime: pip install onnxruntime")
    import onnxruntime  # pyright: ignore[reportMissingImports]  # an extra

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has many kinds of its own
        raise InputError(f"the segmenter {path} is no ONNX file that onnxruntime reads: {error}") from error
    name = session.get_inputs()[0].name
    return lambda shown: torch.from_numpy(np.asarray(session.run(None, {name: shown.numpy()})[0]))
