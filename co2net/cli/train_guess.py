"""``co2net train guess``: fit the regression by which the way without weights guesses colors away from strokes."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from co2net.cli.errors import say
from co2net.cli.options import add_quiet
from co2net.cli.training_options import at_least, positive
from co2net.errors import InputError

DESCRIPTION = "Fit the guess of colors that `co2net colorize` makes without weights."
EXAMPLES = """\
examples:
  {command} photographs/ -o guess.safetensors
  {command} photographs/ --leave_out davis_,clip_ --limit 5000 --hidden 128 --places 16 --steps 12000

PHOTOS is a folder of color pictures, or any data set that `co2net evaluate` knows; of one with splits the training part
is fitted on and the validation part tells the gain, else every twentieth picture does. `co2net colorize` takes the file
where it replaces co2net/colorization/guess.safetensors.
"""


def add_options(p: argparse.ArgumentParser, command: str) -> None:
    """Describe and add the options; `command` is what the examples call."""
    p.description, p.epilog = DESCRIPTION, EXAMPLES.format(command=command)
    p.add_argument("photos", metavar="PHOTOS", help="folder of color pictures")
    p.add_argument("-o", "--output", type=Path, default=Path("guess.safetensors"), help="default guess.safetensors")
    p.add_argument("--leave_out", default="", metavar="NAMES", help="beginnings of file names, joined by commas")
    p.add_argument("--limit", type=int, metavar="N", help="so many training pictures at most, drawn at random")
    p.add_argument("--steps", type=int, default=8000)
    p.add_argument("--batch_size", type=int, default=16, help="pictures per step")
    p.add_argument("--learning_rate", type=float, default=3e-3)
    p.add_argument("--hidden", type=int, default=64, help="width of the regression's layers")
    p.add_argument("--places", type=int, default=12, help="numbers that say what a pixel is like")
    p.add_argument("--shown", type=int, default=0, metavar="N", help="numbers that sum up ToneNet's image features")
    p.add_argument(
        "--width", type=int, default=0, metavar="N", help="of the tokens that revise the guess, 4 times a number"
    )
    p.add_argument("--layers", type=int, help="of the revision (default 2); this and what follows want a --width")
    p.add_argument("--revision_steps", type=int, help="after the others (default 8000)")
    p.add_argument("--revision_rate", type=float, help="default 1.5e-3")
    p.add_argument("--seed", type=int, default=0)
    add_quiet(p, "no progress; the file's name only")
    p.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    import numpy as np

    from co2net.cli.progress import FrameBar
    from co2net.colorization.fitting import FitRecipe, fit, gain, sample_pixels, save_fit
    from co2net.colorization.revision import HEADS
    from co2net.files import make_folder

    at_least(options, 1, "limit", "steps", "batch_size", "hidden", "places", "layers", "revision_steps")
    at_least(options, 0, "seed", "shown", "width")
    positive(options, "learning_rate", "revision_rate")
    if options.width % HEADS:
        raise InputError(f"`width` {options.width}: tokens are split among {HEADS} heads; take a multiple of that")
    given = {field.name: value for field in fields(FitRecipe) if (value := getattr(options, field.name)) is not None}
    revision = [name for name in ("layers", "revision_steps", "revision_rate") if name in given]
    if revision and not options.width:
        raise InputError(f"`{revision[0]}` is of the revision, which a `width` above 0 adds; give that too")
    training, held_out = _pictures(options.photos, tuple(word for word in options.leave_out.split(",") if word))
    order = np.random.default_rng(options.seed).permutation(len(training))[: options.limit]
    training = [training[place] for place in order]
    recipe = FitRecipe(**given)
    parts = []
    for paths, title in ((training, "reading"), (held_out, "reading held-out pictures")):
        with FrameBar(quiet=options.quiet, title=title, unit="picture") as bar:
            count = len(paths)
            parts.append(
                sample_pixels(
                    paths,
                    options.seed,
                    lambda done, bar=bar, count=count: bar.update(done, count),
                    shown=options.shown > 0,
                )
            )
    with FrameBar(quiet=options.quiet, title="fitting", unit="step") as bar:
        model = fit(parts[0], recipe, lambda done, loss: bar.update(done, recipe.all_steps))
    make_folder(options.output.parent)
    save_fit(model, options.output, recipe, len(training))
    if not options.quiet:
        found = [f"{gain(model, parts[1], points):.2f} dB from {points} points" for points in (10, 40)]
        say(f"{len(training)} pictures; a and b of {len(held_out)} held-out ones above gray: {', '.join(found)}")
    print(options.output)


def _pictures(root: str, leave_out: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """Training and held-out pictures, sorted."""
    from co2net.colorization import color_clips  # noqa: F401  # a folder of pictures is a data set too
    from co2net.data.datasets import read_dataset

    parts = [
        sorted({s.real for s in read_dataset(root, None, split) if not s.real.name.startswith(leave_out)})
        for split in ("train", "val")
    ]
    training = [path for path in parts[0] if path not in set(parts[1])]
    if not training:  # no splits
        parts[1], training = parts[0][::20], [path for number, path in enumerate(parts[0]) if number % 20]
    if not training or not parts[1]:
        raise InputError(f"{root} holds too few pictures to fit the regression on; two at least are needed")
    return training, parts[1]
