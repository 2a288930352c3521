"""Other people's networks, where the user has them: rembg's sessions, RobustVideoMatting's files."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from co2net.errors import InputError
from co2net.pipeline.frames import Picture, as_bytes

RVM_SIDE = 512  # pixels: the longer side at which RobustVideoMatting looks at the whole picture (its own advice)


def open_model(name: str) -> Any:
    """The stream of another network.

    Args:
        name: ``rembg:NAME`` (rembg's model NAME; downloads into its own cache; a ``.onnx`` path is taken as U2-Net's
            form), or a file of RobustVideoMatting: ``.torchscript`` / ``.pt``, or ``.onnx``.

    Raises:
        InputError: the extra or the file is missing, or the name is unknown.
    """
    if name.startswith("rembg:"):
        return RembgStream(name.removeprefix("rembg:"))
    path = Path(name)
    if path.suffix.lower() not in (".torchscript", ".pt", ".onnx"):
        raise InputError(
            f"`model` {name}: give rembg:NAME, or RobustVideoMatting's file (.torchscript or .onnx) that you downloaded"
        )
    if not path.is_file():
        raise InputError(
            f"`model` {name}: no such file; RobustVideoMatting offers rvm_mobilenetv3_fp32.torchscript and "
            "rvm_mobilenetv3_fp32.onnx at https://github.com/PeterL1n/RobustVideoMatting/releases"
        )
    return RVMStream(path)


class RembgStream:
    """rembg, frame by frame. Its networks know single pictures, so edges may boil: refine them."""

    def __init__(self, name: str) -> None:
        if importlib.util.find_spec("rembg") is None:
            raise InputError(f"the model rembg:{name} needs rembg: pip install 'co2net[rembg]'")
        # rembg leaves the process when its own runtime is missing.
        if importlib.util.find_spec("onnxruntime") is None:
            raise InputError(f"the model rembg:{name} needs onnxruntime: pip install onnxruntime")
        from rembg import new_session, remove  # pyright: ignore[reportMissingImports]  # an extra

        self._remove = remove
        settings = {}
        if name.endswith(".onnx"):
            if not Path(name).is_file():
                raise InputError(f"the model rembg:{name}: no such file")
            settings, name = {"model_path": name}, "u2net_custom"
        try:
            self._session = new_session(name, **settings)
        except ValueError as error:
            raise InputError(f"rembg does not take the model {name}: {error}") from error
        except OSError as error:
            raise InputError(f"rembg could not fetch its model {name}: {error}") from error

    def push(self, frame: Picture, mask: Any, tag: Any) -> Iterator[tuple[Any, np.ndarray]]:
        """Yields ``(tag, (H, W) float32 in [0, 1])``."""
        from PIL import Image

        found: Any = self._remove(Image.fromarray(as_bytes(frame)), session=self._session, only_mask=True)
        yield tag, np.asarray(found.convert("L"), np.float32) / 255

    def finish(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Nothing waits."""
        yield from ()


class RVMStream:
    """RobustVideoMatting (Lin et al., WACV 2022, arXiv:2108.11515), whose results are ``(foreground, alpha)``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: list[Any] | None = None
        self._run = self._onnx() if path.suffix.lower() == ".onnx" else self._torchscript()

    def push(self, frame: Picture, mask: Any, tag: Any) -> Iterator[tuple[Any, tuple[np.ndarray, np.ndarray]]]:
        """Yields ``(tag, (foreground, alpha))``, float32 in [0, 1]."""
        picture = as_bytes(frame)
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)
        ratio = min(1.0, RVM_SIDE / max(picture.shape[:2]))
        front, alpha = self._run(planes, ratio)
        yield tag, (front[0].transpose(1, 2, 0), alpha[0, 0])

    def finish(self) -> Iterator[tuple[Any, tuple[np.ndarray, np.ndarray]]]:
        """Nothing waits."""
        yield from ()

    def _torchscript(self) -> Any:
        import torch

        try:
            network = torch.jit.load(str(self._path), map_location="cpu").eval()
        except RuntimeError as error:
            raise InputError(f"{self._path} is no TorchScript file: {str(error).splitlines()[0]}") from error

        @torch.no_grad()
        def run(planes: np.ndarray, ratio: float) -> tuple[np.ndarray, np.ndarray]:
            state = self._state or [None] * 4
            front, alpha, *self._state = network(torch.from_numpy(planes), *state, ratio)
            return front.clamp(0, 1).numpy(), alpha.clamp(0, 1).numpy()

        return run

    def _onnx(self) -> Any:
        if importlib.util.find_spec("onnxruntime") is None:
            raise InputError(f"{self._path} needs onnxruntime: pip install onnxruntime")
        import onnxruntime  # pyright: ignore[reportMissingImports]  # an extra

        try:
            session = onnxruntime.InferenceSession(str(self._path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has many kinds of its own
            raise InputError(f"{self._path} is no ONNX file that onnxruntime reads: {error}") from error
        names = {item.name for item in session.get_inputs()}
        wanted = {"src", "r1i", "r2i", "r3i", "r4i"}
        if not wanted <= names:
            raise InputError(
                f"{self._path} has the inputs {', '.join(sorted(names))}, not those of RobustVideoMatting "
                f"({', '.join(sorted(wanted))}); networks for single pictures go by rembg:{self._path}"
            )

        def run(planes: np.ndarray, ratio: float) -> tuple[np.ndarray, np.ndarray]:
            state = self._state or [np.zeros((1, 1, 1, 1), np.float32)] * 4
            given = {"src": planes, **{f"r{i + 1}i": part for i, part in enumerate(state)}}
            if "downsample_ratio" in names:
                given["downsample_ratio"] = np.array([ratio], np.float32)
            front, alpha, *self._state = session.run(["fgr", "pha", "r1o", "r2o", "r3o", "r4o"], given)
            return np.clip(np.asarray(front), 0, 1), np.clip(np.asarray(alpha), 0, 1)

        return run
