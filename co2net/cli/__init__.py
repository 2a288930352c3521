"""The ``co2net`` command: one file per verb; nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from co2net.cli.errors import exit_code
from co2net.cli.linking import link_torch
from co2net.cli.options import OptionParser

DESCRIPTION = "Make a composited foreground match its background, frame after frame, without flicker."
EXAMPLES = """\
examples:
  co2net harmonize composite.mp4 --mask mask.mp4 -o harmonized.mp4
  co2net harmonize --foreground plate.mov --background street.mp4 -o harmonized.mov
  co2net batch shots.csv -o results
  co2net matte plate.mov --key green -o cutout.mov
  co2net matte clip.mp4 --from first_mask.png -o mask.mkv
  co2net demo
  co2net evaluate --sample --methods composite,final,reinhard
  co2net before-after composites/ --masks masks/ -o sheet.png
  co2net dataset check HYouTube --list test_list.txt
  co2net models
  co2net train backbone --help     # or refinement, images, cpnet, ssnet, matting

`co2net VERB --help` tells more. Exit codes: 0 done, 2 bad input, 1 our fault, 130 interrupted, 143 terminated.
"""


VERBS = (
    "harmonize",
    "batch",
    "matte",
    "colorize",
    "scribbles",
    "demo",
    "models",
    "dataset",
    "train",
    "evaluate",
    "evaluate_flow",
    "measure",
    "before_after",
    "release",
    "export",
    "doctor",
    "serve",
)
"""In the order of the help; each is a file of this room with ``add_parser``."""
_LOAD_TORCH = ("harmonize", "matte", "colorize")
"""Those that begin with :func:`co2net.cli.loading.load_torch`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    words = sys.argv[1:] if argv is None else argv
    named = words[0].replace("-", "_") if words else ""
    if named in _LOAD_TORCH and not {"-h", "--help"} & {*words}:
        link_torch()
    parser = OptionParser(prog="co2net", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for verb in (named,) if named in VERBS else VERBS:  # the others' options would only be read
        import_module(f"co2net.cli.{verb}").add_parser(verbs)
    options = parser.parse_args(argv)
    if options.version:
        import co2net

        print(f"co2net {co2net.__version__}")
        return 0
    if options.verb is None:
        parser.print_help(sys.stderr)
        return 2
    return exit_code(lambda: options.run(options), options.flags)
