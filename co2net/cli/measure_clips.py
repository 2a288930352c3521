"""``scripts/measure_clips.py``: the LUT of a model card."""

from __future__ import annotations

import argparse
from pathlib import Path

from co2net.cli.errors import exit_code
from co2net.cli.options import OptionParser, add_device, key_frames

DESCRIPTION = """\
Measure a model on real clips with masks. Every clip becomes several composites, one per LUT; the model,
classical color transfer and the composite itself are compared with the real frames.
"worse" counts those that came out worse by more than 1 %, of the composites with an fMSE above 100.
Clips: CLIPS/<clip>/frames/* with CLIPS/<clip>/masks/*.png of the same names.
"""
EXAMPLES = """\
example:
  python scripts/measure_clips.py --clips videos/ --names camel,tennis --luts luts/ --output measured.json
"""


def parser() -> argparse.ArgumentParser:
    """Options of the script."""
    p = OptionParser(
        prog="measure_clips.py",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    p.add_argument("--clips", required=True, type=Path, help="folder of clips")
    p.add_argument("--names", help="clips to measure, joined by commas (default: all)")
    p.add_argument("--luts", required=True, type=Path, help="folder of LUTs, with split.json for both splits")
    p.add_argument("--lut-count", type=int, default=5, help="LUTs per split, evenly spread over it (default 5)")
    p.add_argument("--frames", type=int, default=20, help="first frames of each clip (default 20)")
    p.add_argument("--every", type=int, default=1, help="take each so-manieth frame of a clip (default 1)")
    p.add_argument("--sizes", default="256,own", help="frame sizes: a number (square) or `own` (default 256,own)")
    p.add_argument("--weights", default="default", help="weight file, or a name from `co2net models`")
    p.add_argument("--mapping", choices=("paper", "smooth"), help="the LUT's form; default: as the weights ask")
    p.add_argument(
        "--key-frames", type=key_frames, metavar="K", help="measure with key frames too: every K-th, or auto"
    )
    add_device(p)
    p.add_argument("--output", type=Path, help="also write every single score as JSON")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the script; returns the exit code."""
    return exit_code(lambda: _run(parser().parse_args(argv)))


def _run(options: argparse.Namespace) -> None:
    import dataclasses
    import json

    from tqdm import tqdm

    from co2net.devices import choose_device
    from co2net.errors import InputError
    from co2net.evaluation.clips import Score, baselines, make_composites, motion, read_clip, score, summarize
    from co2net.evaluation.methods import network_methods
    from co2net.evaluation.temporal.clip_pass import TRUTH
    from co2net.files import write_beside
    from co2net.models.registry import load_model
    from co2net.training.color_changes import load_luts

    if options.every < 1:
        raise InputError(f"--every must be 1 or more, got {options.every}")
    model = load_model(options.weights).to(choose_device(options.device))
    model.mapping = options.mapping or model.mapping
    names = options.names.split(",") if options.names else sorted(p.name for p in options.clips.iterdir() if p.is_dir())
    splits = ("test", "train") if (options.luts / "split.json").is_file() else ("all",)
    methods = baselines() | network_methods(model, options.key_frames)
    scores: dict[str, list[Score]] = {}
    for size in options.sizes.split(","):
        if size != "own" and not size.isdecimal():
            raise InputError(f"--sizes {options.sizes}: wanted numbers or `own`, joined by commas")
        for name in tqdm(names, desc=f"size {size}"):
            square = None if size == "own" else (int(size), int(size))
            frames, masks = read_clip(options.clips / name, square, options.frames, options.every)
            fields = motion(frames)
            # What a perfect result would get: TL counts the real clip's own changes.
            compared = methods | {TRUTH: lambda composites, masks, frames=frames: frames}
            for split in splits:
                luts = load_luts(options.luts, None if split == "all" else split)
                chosen = [round((i + 0.5) * len(luts) / options.lut_count - 0.5) for i in range(options.lut_count)]
                for index in chosen:
                    composites = make_composites(frames, masks, luts[index])
                    scores.setdefault(f"size {size}, {split} LUTs", []).extend(
                        score(name, f"{split} {index}", method, run, composites, masks, frames, fields)
                        for method, run in compared.items()
                    )
            scores.setdefault(f"size {size}, untouched", []).extend(
                score(name, "none", method, run, frames, masks, frames, fields) for method, run in methods.items()
            )
    for title, group in scores.items():
        print(f"\n{title}: {len(names)} clips, {len({(s.clip, s.lut) for s in group})} composites\n")
        print(_lut(summarize(group), untouched=title.endswith("untouched")))
    if options.output:
        listed = {title: [dataclasses.asdict(s) for s in group] for title, group in scores.items()}
        write_beside(options.output, json.dumps(listed, indent=1))


def _lut(rows: list[dict], *, untouched: bool) -> str:
    if untouched:
        lines = ["| method | fMSE done to clips that were right |", "|---|---|"]
        return "\n".join(lines + [f"| {r['method']} | {r['fmse']:.1f} |" for r in rows])
    lines = [
        "| method | fMSE | share of the composite's | mean share | PSNR | TL (DIS) | flicker | worse | s / frame |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        numbers = f"{r['fmse']:.1f} | {r['share']:.2f} | {r['mean_share']:.2f} | {r['psnr']:.2f} dB | {r['tl']:.2f}"
        numbers += f" | {r['flicker']:.2f} | {100 * r['worse']:.0f} %"
        lines.append(f"| {r['method']} | {numbers} | {r['seconds_per_frame']:.3f} |")
    return "\n".join(lines)
