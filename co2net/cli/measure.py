"""``co2net measure``: the tables of a model card."""

from __future__ import annotations

import argparse
from pathlib import Path

from co2net.cli.options import add_device, add_quiet, key_frames

DESCRIPTION = """\
Measure a model on real clips with masks. Every clip becomes several composites, one per LUT; the model,
classical color transfer and the composite itself are compared with the real frames.
"worse" counts those that came out worse by more than 1 %, of the composites with an fMSE above 100.
Clips: CLIPS/<clip>/frames/* with CLIPS/<clip>/masks/*.png of the same names.
"""
EXAMPLES = """\
example:
  co2net measure --clips videos/ --names camel,tennis --luts luts/ --output measured.json
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "measure", help="measure a model on clips that LUTs made wrong", description=DESCRIPTION, epilog=EXAMPLES
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
    add_quiet(p, "no progress bar; the tables only")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure and print the tables."""
    import dataclasses
    import json
    import sys

    from tqdm import tqdm

    from co2net.devices import choose_device
    from co2net.errors import InputError
    from co2net.evaluation.measure import measure_clips, table
    from co2net.files import write_beside
    from co2net.models.registry import load_model
    from co2net.training.color_changes import load_luts

    sizes = [size.strip() for size in options.sizes.split(",")]
    if not all(size == "own" or size.isdecimal() for size in sizes):
        raise InputError(f"`sizes` {options.sizes}: wanted numbers or own, joined by commas")
    splits = ("test", "train") if (options.luts / "split.json").is_file() else (None,)
    luts = {split or "all": load_luts(options.luts, split) for split in splits}
    model = load_model(options.weights).to(choose_device(options.device))
    model.mapping = options.mapping or model.mapping
    with tqdm(unit="clip", file=sys.stderr, disable=options.quiet or not sys.stderr.isatty(), leave=False) as bar:

        def show(size: str, name: str) -> None:
            bar.set_description(f"size {size}, {name}")
            bar.update()

        scores = measure_clips(
            options.clips,
            luts,
            model,
            names=options.names.split(",") if options.names else None,
            lut_count=options.lut_count,
            frames=options.frames,
            every=options.every,
            sizes=[None if size == "own" else int(size) for size in sizes],
            key_frames=options.key_frames,
            on_clip=show,
        )
    for title, group in scores.items():
        composites = len({(s.clip, s.lut) for s in group})
        print(f"\n{title}: {len({s.clip for s in group})} clips, {composites} composites\n\n{table(group)}")
    if options.output:
        listed = {title: [dataclasses.asdict(s) for s in group] for title, group in scores.items()}
        write_beside(options.output, json.dumps(listed, indent=1))
