"""Scribbles in other colors, with the published flags. See `--help`."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.color_scribbles import mapping_main

if __name__ == "__main__":
    sys.exit(mapping_main())
