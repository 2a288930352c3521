"""What the options of all verbs and scripts have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, Literal

from co2net.cli.errors import exit_code
from co2net.errors import InputError

Group = argparse.ArgumentParser | argparse._ArgumentGroup


class _Texts(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of a text that has several, and breaks a single long one."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text.strip():
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


class OptionParser(argparse.ArgumentParser):
    """Takes every option with hyphens or with underscores, and prints its examples as they are written.

    The original's scripts have both spellings (``--val_list``, ``--config-path``); nobody should have to remember which
    command has which. Help shows one. What was parsed also has ``flags``: the flag of every argument, for
    the messages of the library (:func:`co2net.errors.with_names`).
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{"formatter_class": _Texts, **settings})

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As in the base class, which calls this for the parsers of verbs too."""
        words = sys.argv[1:] if args is None else args
        options, rest = super().parse_known_args([self._as_defined(word) for word in words], namespace)
        options.flags = {**self._flags(), **getattr(options, "flags", {})}  # a verb's own are there already
        return options, rest

    def _flags(self) -> dict[str, str]:
        named = {action.dest: [*action.option_strings, str(action.metavar or action.dest)] for action in self._actions}
        return {name: next((n for n in names if n.startswith("--")), names[-1]) for name, names in named.items()}

    def _as_defined(self, word: str) -> str:
        name, *value = word.split("=", 1)
        defined = {option.replace("_", "-"): option for option in self._option_string_actions}
        if not name.startswith("--") or name in self._option_string_actions:
            return word
        return "=".join((defined.get(name.replace("_", "-"), name), *value))


def run_script(
    name: str, add_options: Callable[[argparse.ArgumentParser, str], None], argv: Sequence[str] | None = None
) -> int:
    """Run a program of ``scripts/``: what its options' ``run`` says; returns its exit code.

    Args:
        name: of the file.
        add_options: describes and adds the options, given the words that examples begin with.
        argv: the words; None: the command line's.
    """
    p = OptionParser(prog=name)
    add_options(p, f"python scripts/{name}")
    options = p.parse_args(argv)
    return exit_code(lambda: options.run(options), options.flags)


def add_encoding(group: Group, default: str) -> None:
    """Where a frame job's result goes and how it is encoded; `default` is the output's name without ``-o``."""
    group.add_argument(
        "-o",
        "--output",
        help="the name chooses the format: .mp4 H.264, .mkv lossless FFV1, .mov ProRes, .webm VP9, a picture, or a "
        f"folder of PNG frames; default: {default}",
    )
    group.add_argument(
        "--codec",
        help="h264, h265, ffv1, prores, vp9 or av1 in place of the ending's own; on a graphics processor h264_nvenc, "
        "hevc_nvenc, av1_nvenc, h264_qsv, hevc_qsv, av1_qsv, h264_amf or hevc_amf",
    )
    group.add_argument(
        "--quality", type=float, help="the encoder's quality, for H.264 its CRF: lower is better, 0 to 51"
    )
    group.add_argument(
        "--preset", help="the encoder's speed, ultrafast to veryslow: slower makes smaller files (default: superfast)"
    )
    group.add_argument(
        "--overwrite", action=argparse.BooleanOptionalAction, default=True, help="replace an existing output (default)"
    )


ENCODING = "codec quality preset overwrite"
"""What :func:`add_encoding` parsed, but the output, for :func:`picked`."""


def words(text: str | None) -> list[str]:
    """What was joined by commas, such as names; nothing where nothing was given."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def picked(options: argparse.Namespace, names: str) -> dict[str, Any]:
    """The parsed options of these names (with spaces between), as keywords of a function that calls them the same."""
    return {name: getattr(options, name) for name in names.split()}


def add_device(group: Group) -> None:
    """``--device``, for :func:`co2net.devices.choose_device`."""
    group.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")


def device_name(options: argparse.Namespace, *, or_cpu: bool = False) -> str:
    """Where ``--device``, or the published programs' ``--gpu N``, say to compute: a name of a device.

    Args:
        options: `device`, and `gpu`, which is None if it was not given.
        or_cpu: as the programs for pictures and mattes: without CUDA the CPU computes, with a note, and ``--device``
            counts more. The others refuse.

    Raises:
        InputError: there is no such GPU, several are named, or both options were given.
    """
    if options.gpu is None or (or_cpu and options.device != "auto"):
        return options.device
    if options.device != "auto":
        raise InputError(f"--gpu {options.gpu} and --device {options.device} both choose the device; give one of them")
    number = options.gpu.split(",")[0] if or_cpu else options.gpu
    if not number.isdecimal():
        raise InputError(f"--gpu {options.gpu}: want the number of one GPU; for several see torchrun in --help")
    import torch

    from co2net.devices import choose_device

    if or_cpu and not torch.cuda.is_available():
        if not options.quiet:
            print(f"co2net: note: --gpu {options.gpu}: no CUDA here, the CPU computes", file=sys.stderr)
        return "cpu"
    try:
        return str(choose_device(f"cuda:{number}"))
    except InputError as error:
        raise InputError(f"--gpu {options.gpu}: there is no such GPU here; give --device cpu instead") from error


def add_prior(group: Group) -> None:
    """``--prior``, for :func:`co2net.models.registry.load_model`."""
    group.add_argument(
        "--prior",
        type=float,
        metavar="P",
        help="how likely the footage is right already: 0 takes the network's corrections whole, larger values weaken "
        "those that it is unsure of (default: the weights' own, see their card)",
    )


def add_place(group: Group) -> None:
    """``--on``: where workers are, for :mod:`co2net.workers`."""
    group.add_argument(
        "--on", choices=("here", "ray"), default="here", help="workers of this machine (default), or of a Ray cluster"
    )


def workers_on(workers: int | None, on: str) -> int:
    """How many workers, where nobody said: this process alone, or all cores of a cluster."""
    return workers if workers is not None else int(on == "here")


def add_quiet(group: Group, says: str = "no progress bar, no summary; errors only") -> None:
    """``-q``, ``--quiet``; `says` is its help."""
    group.add_argument("-q", "--quiet", action="store_true", help=says)


def key_frames(text: str) -> int | Literal["auto"]:
    """Type of ``--key-frames``."""
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of frames; write auto, or a whole number from 1 on")
    return int(text)


def frame_rate(text: str) -> Fraction:
    """Type of ``--frame-rate``."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if rate <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a frame rate; write 24 or 30000/1001")
    return rate
