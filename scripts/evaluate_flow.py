"""Measure the temporal loss of stored results, with the flags of the original script. See `--help` for examples."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate-flow", *sys.argv[1:]]))
