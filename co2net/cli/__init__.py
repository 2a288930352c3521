"""The ``co2net`` command: one file per verb; nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from co2net.cli.errors import exit_code
from co2net.cli.options import OptionParser

DESCRIPTION = "Make a composited foreground match its background, frame after frame, without flicker."
EXAMPLES = """\
examples:
  co2net harmonize composite.mp4 --mask mask.mp4 -o harmonized.mp4
  co2net harmonize --foreground plate.mov --background street.mp4 -o harmonized.mov
  co2net matte plate.mov --key green -o cutout.mov
  co2net matte clip.mp4 --from first_mask.png -o mask.mkv
  co2net demo
  co2net evaluate --sample
  co2net dataset check HYouTube --list test_list.txt
  co2net models
  co2net train refinement --help

`co2net VERB --help` tells more. Exit codes: 0 done, 2 bad input, 1 our fault, 130 interrupted, 143 terminated.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    from co2net.cli import (
        before_after,
        colorize,
        dataset,
        demo,
        doctor,
        evaluate,
        evaluate_flow,
        harmonize,
        matte,
        measure,
        models,
        release,
        scribbles,
        train,
    )

    parser = OptionParser(prog="co2net", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for module in (
        harmonize,
        matte,
        colorize,
        scribbles,
        demo,
        models,
        dataset,
        train,
        evaluate,
        evaluate_flow,
        measure,
        before_after,
        release,
        doctor,
    ):
        module.add_parser(verbs)
    options = parser.parse_args(argv)
    if options.version:
        import co2net

        print(f"co2net {co2net.__version__}")
        return 0
    if options.verb is None:
        parser.print_help(sys.stderr)
        return 2
    return exit_code(lambda: options.run(options), options.flags)
