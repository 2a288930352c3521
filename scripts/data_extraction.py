"""Matting data from clips before a screen. See `--help`."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.matting_data import extract_main

if __name__ == "__main__":
    sys.exit(extract_main())
