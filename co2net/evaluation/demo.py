"""The demonstration: harmonize the sample clip, compare with the truth, show before and after."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from co2net.data.sample_data import sample_clip
from co2net.evaluation.methods import CLASSICAL
from co2net.files import make_folder, write_beside, write_json
from co2net.metrics import fmse, psnr
from co2net.pipeline.harmonize import HarmonizeReport, harmonize_video
from co2net.pipeline.job import OnProgress
from co2net.video import Frame, open_mask, open_video, pair


@dataclass
class Demo:
    """What the demo measured and wrote."""

    rows: list[dict[str, float | str]]
    report: HarmonizeReport
    files: list[Path] = field(default_factory=list)

    def table(self) -> str:
        """The numbers as a Markdown table."""
        lines = ["| method | fMSE | share of the composite's | PSNR |", "|---|---|---|---|"]
        lines += [f"| {r['method']} | {r['fmse']:.1f} | {r['share']:.2f} | {r['psnr']:.2f} dB |" for r in self.rows]
        return "\n".join(lines)


def run_demo(output: Path, device: torch.device, on_progress: OnProgress | None = None) -> Demo:
    """Harmonize the sample clip into the folder `output`.

    Raises:
        OutputError: if the folder cannot be made.
    """
    sample = sample_clip()
    make_folder(output)
    video = output / "harmonized.mp4"
    report = harmonize_video(
        sample / "composite.mp4",
        sample / "mask.mp4",
        video,
        device=device,
        cube=output / "look.cube",
        on_progress=on_progress,
    )
    rows, strips = _measure(sample, video)
    demo = Demo(rows, report)
    picture, text, numbers = output / "before_after.png", output / "report.md", output / "report.json"
    _write_picture(picture, strips)
    write_json(numbers, {"methods": rows, "frames": report.frames, "seconds": report.seconds})
    write_beside(text, _text(demo))
    demo.files = [report.output, picture, text, numbers, output / "look.cube"]
    return demo


def _text(demo: Demo) -> str:
    report = demo.report
    return (
        "# co2net demo\n\n"
        f"{report.frames} frames of the sample clip, harmonized in {report.seconds:.1f} s on {report.device}.\n\n"
        f"{demo.table()}\n\n"
        "fMSE: squared error inside the mask against the real clip, 8-bit levels, mean over frames (lower is better). "
        "PSNR: over the whole frame (higher is better). All read back from the encoded videos, coding losses included. "
        "The classical methods match the foreground's colors to the background's, frame by frame.\n\n"
        "`before_after.png`: composite, harmonized and real frame, side by side.\n"
    )


def _measure(sample: Path, video: Path) -> tuple[list[dict[str, float | str]], list[np.ndarray]]:
    """Rows of the table, and strips (composite, harmonized, real) of three frames."""
    values: dict[str, list[tuple[float, float]]] = {}
    strips = []
    with (
        open_video(sample / "composite.mp4") as composites,
        open_video(video) as results,
        open_video(sample / "real.mp4") as reals,
        open_mask(sample / "mask.mp4", like=composites.info) as masks,
    ):
        shown = _three_of(composites.info.frame_count)
        for number, ((composite, mask), result, real) in enumerate(
            zip(pair(composites, masks), results, reals, strict=True)
        ):
            methods = {"composite": composite.image, "co2net": result.image}
            unit = composite.image.astype(np.float32) / 255
            methods |= {name: transfer(unit, mask) for name, transfer in CLASSICAL.items()}
            for name, image in methods.items():
                values.setdefault(name, []).append(_errors(image, real, mask))
            if number in shown:
                strips.append(np.concatenate([composite.image, result.image, real.image], axis=1))
    means = {name: np.nanmean(np.array(pairs), axis=0) for name, pairs in values.items()}
    before = means["composite"][0]
    rows: list[dict[str, float | str]] = [
        {"method": name, "fmse": float(mean[0]), "share": float(mean[0] / before), "psnr": float(mean[1])}
        for name, mean in means.items()
    ]
    return rows, strips


def _errors(image: np.ndarray, real: Frame, mask: np.ndarray) -> tuple[float, float]:
    def tensor(picture: np.ndarray) -> torch.Tensor:
        scaled = picture.astype(np.float32) / (255 if picture.dtype == np.uint8 else 1)
        return torch.from_numpy(scaled).permute(2, 0, 1)[None]

    p, t, m = tensor(image), tensor(real.image), torch.from_numpy(mask)[None, None]
    return float(fmse(p, t, m)), float(psnr(p, t))


def _three_of(count: int | None) -> tuple[int, ...]:
    count = count or 3
    return count // 6, count // 2, count * 5 // 6


def _write_picture(path: Path, strips: list[np.ndarray]) -> None:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(strips)).save(buffer, format="png")
    write_beside(path, buffer.getvalue())
