"""A sheet of clips colored from points of their own. See `--help`."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.color_scribbles import sheet_main

if __name__ == "__main__":
    sys.exit(sheet_main())
