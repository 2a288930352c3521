"""``co2net batch``: many shots, on many workers."""

from __future__ import annotations

import argparse
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from co2net.cli.loading import load_torch
from co2net.cli.options import OptionParser, add_place, add_quiet
from co2net.errors import InputError, listed

if TYPE_CHECKING:
    from co2net.batch import Shot, ShotResult
    from co2net.models.co2net import CO2Net

EXAMPLES = """\
examples:
  co2net batch shots.csv                                     # a line for each shot; results in shots.batch/
  co2net batch shots.csv -o results --set strength=0.7       # for all shots whose line says nothing else
  co2net batch plates/ --masks mattes/ -o results            # plates/a.mov with mattes/a.mov, and so on
  co2net batch cut.otio -o results                           # the media of a timeline, and the timeline with results
  co2net batch shots.csv --split 400 -o results              # long sequences in parts, on several workers
  co2net batch shots.csv --on ray -o /shared/results         # on a Ray cluster that is running

shots.csv, its columns named like the options of `co2net harmonize`:
  name,composite,mask,strength
  a_010,a_010.mov,mattes/a_010.mov,
  a_020,a_020.####.exr,mattes/a_020/,0.7

Give the command again to go on: what is done and has not changed is skipped. report.html shows every shot and which
want a look. Exit code 2 if a shot could not be done; the others are.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "batch",
        help="harmonize many shots, on several workers or machines",
        description="Harmonize many shots: what is done is skipped, what fails is named, one report shows them all.",
        epilog=EXAMPLES,
    )
    p.add_argument("shots", help="table (.csv), folder, or timeline (.otio and what OpenTimelineIO reads)")
    p.add_argument("--masks", metavar="FOLDER", help="of a folder of shots: their masks, of the same names")
    p.add_argument("-o", "--output", metavar="FOLDER", help="results, records and report; default: SHOTS.batch")
    p.add_argument(
        "--ending",
        metavar=".MP4",
        help="of results that no `output` names (.mp4, .mov, .mkv, ...; / for frames)",
    )
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of `co2net harmonize` for all shots whose line says nothing else; may be repeated",
    )
    p.add_argument("--split", type=int, metavar="N", help="longer sequences in parts of N frames, without a seam")
    p.add_argument("--again", action="store_true", help="do all shots, even those that are done")
    p.add_argument("--workers", type=int, default=0, metavar="N", help="shots at a time (default: one per core)")
    add_place(p)
    p.add_argument("--tries", type=int, default=3, metavar="N", help="of a shot whose worker dies (default 3)")
    p.add_argument("--gpus", type=float, default=0, metavar="G", help="with --on ray: GPUs a shot keeps busy, as 0.5")
    add_quiet(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Do the shots and say how they ended."""
    from co2net.batch import read_shots, run_batch, write_report
    from co2net.cli.progress import FrameBar, tell_words

    source = Path(options.shots).absolute()
    name = source.name if source.is_dir() else source.stem
    folder = Path(options.output).absolute() if options.output else source.with_name(f"{name}.batch")
    shots = [_complete(shot, options, folder) for shot in read_shots(source, folder, options.masks)]
    if options.split:
        from co2net.batch.shots import split

        shots = [part for shot in shots for part in split(shot, options.split)]
    for shot in shots:
        _parsed(shot)  # before any work: a wrong option in the last line ends it now

    with FrameBar(quiet=options.quiet, title="batch", unit="shot") as bar:

        def tell_failure(result: ShotResult) -> None:
            if result.failed:
                bar.say(f"{result.shot.name}: {result.record['error']}")

        batch = run_batch(
            shots,
            harmonize_shot,
            folder,
            conditions=_conditions,
            workers=options.workers,
            on=options.on,
            tries=options.tries,
            gpus=options.gpus,
            again=options.again,
            on_progress=bar.update,
            on_result=tell_failure,
        )
    written = write_report(batch, f"{len(shots)} shots of {source.name}")
    written += _timeline(source, folder, batch.done)
    kept = sum(result.kept for result in batch.results)
    words = f"{len(batch.done)} of {len(shots)} shots done" + (f", {kept} of them before" if kept else "")
    if worth := batch.worth_a_look:
        words += f"; {len(worth)} want a look: {_names(worth)}"
    tell_words(options, [], f"{words}; {batch.seconds:.0f} s", written[-1])
    if batch.failed:
        noun = "shot" if len(batch.failed) == 1 else "shots"
        raise InputError(f"{len(batch.failed)} {noun} could not be done: {_names(batch.failed)}; {written[0]} says why")


def harmonize_shot(shot: Shot, folder: Path) -> dict[str, Any]:
    """Harmonize one shot, in a worker; returns what its record holds.

    Raises:
        InputError: it cannot be done.
    """
    load_torch()
    from co2net.batch.sheet import write_sheet
    from co2net.cli.harmonize import harmonize
    from co2net.files import make_folder
    from co2net.pipeline.review import Review

    options, review = _parsed(shot), Review()
    make_folder(Path(options.output).parent)
    report = harmonize(options, model=_model(options.weights, options.backbone, options.prior), review=review)
    return {
        "output": options.output,
        "frames": report.frames,
        "seconds": report.seconds,
        "notes": report.notes,
        "concerns": review.concerns() if options.strength != 0 else [],
        "numbers": {"change": review.change, "expected_error": review.expected_error, "cuts": review.cuts},
        "sheet": write_sheet(folder, shot.name, review),
    }


@lru_cache(maxsize=2)
def _model(weights: str, backbone: str | None, prior: float | None) -> CO2Net:
    """A worker does many shots, and most of them with one network."""
    from co2net.models.registry import load_model

    return load_model(weights, backbone, prior=prior)


def _complete(shot: Shot, options: argparse.Namespace, folder: Path) -> Shot:
    """The shot with the options for all, and with an output."""
    from co2net.batch.shots import Shot, default_output

    common = _as_columns(options.set)
    given = {**common, **shot.options}
    if "output" not in given:
        given["output"] = default_output(shot, folder, options.ending, in_parts=options.split is not None)
    return Shot(shot.name, given, shot.where)


@lru_cache(maxsize=1)
def _parser() -> argparse.ArgumentParser:
    from co2net.cli import harmonize

    verbs: Any = OptionParser(prog="co2net").add_subparsers(dest="verb")
    harmonize.add_parser(verbs)
    found = verbs.choices["harmonize"]
    found.exit_on_error = False
    return found


def _actions() -> dict[str, argparse.Action]:
    """The options of ``co2net harmonize`` that a shot may have, by the names of columns."""
    unfit = ("help", "images", "quiet")
    return {action.dest: action for action in _parser()._actions if action.dest not in unfit}


def _as_columns(words: list[str]) -> dict[str, str]:
    """``NAME=VALUE`` as columns of a table."""
    found = {}
    for word in words:
        name, there, value = word.partition("=")
        name = name.lstrip("-").replace("-", "_")
        if not there or name not in _actions():
            raise InputError(f"`set` {word}: write NAME=VALUE, the name one of {', '.join(sorted(_actions()))}")
        found[name] = value
    return found


def _parsed(shot: Shot) -> argparse.Namespace:
    """The shot's options as ``co2net harmonize`` has them.

    Raises:
        InputError: a column is no option, or a value does not fit; names the line.
    """
    actions, words = _actions(), []
    for name, value in shot.options.items():
        action = actions.get(name)
        if action is None:
            raise InputError(f"{shot.where}: {name} is no option of a shot; known: name, {', '.join(sorted(actions))}")
        if not action.option_strings:
            continue
        if action.nargs != 0:
            words.append(f"{action.option_strings[-1]}={value}")
        elif _is_yes(value, shot, name):
            words.append(action.option_strings[0])
        elif f"--no-{name}" in action.option_strings:
            words.append(f"--no-{name}")
    if composite := shot.options.get("composite"):
        words += ["--", composite]
    try:
        options = _parser().parse_args(["--quiet", *words])
    except argparse.ArgumentError as error:
        raise InputError(f"{shot.where}: {error}") from error
    return options


def _is_yes(value: str, shot: Shot, name: str) -> bool:
    if value.lower() in ("yes", "y", "true", "1", "x", "on"):
        return True
    if value.lower() in ("no", "n", "false", "0", "off"):
        return False
    raise InputError(f"{shot.where}: {name} is {value!r}; write yes or no")


def _conditions(shot: Shot) -> dict[str, Any]:
    """What a result depends on beside its options and inputs."""
    try:
        return {"weights": _weights(shot.options.get("weights", "default"), shot.options.get("backbone"))}
    except InputError as error:
        raise InputError(f"{shot.where}: {error}") from error


@lru_cache(maxsize=64)
def _weights(weights: str, backbone: str | None) -> str:
    from co2net.models.registry import DEFAULT_BACKBONE, default_model_path, weights_path
    from co2net.provenance import file_sha256

    if weights == "default" and backbone is None:
        return file_sha256(default_model_path())
    return file_sha256(weights_path(weights, backbone or DEFAULT_BACKBONE, refinement=True))


def _timeline(source: Path, folder: Path, done: list[ShotResult]) -> list[Path]:
    """Of a timeline, the same with the results in place of the media."""
    if source.is_dir() or source.suffix.lower() in (".csv", ".tsv", ".txt"):
        return []
    from co2net.batch.timeline import write_timeline

    target = folder / f"{source.stem}.harmonized{source.suffix}"
    results = {r.shot.options.get("composite", ""): Path(r.record["output"]).absolute() for r in done}
    write_timeline(source, results, target)
    return [target]


def _names(results: list[ShotResult]) -> str:
    return listed((result.shot.name for result in results), 5)
