"""Write a checkpoint as a weight file for others, perhaps averaged with another. See `--help` for examples."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli import main

if __name__ == "__main__":
    sys.exit(main(["release", *sys.argv[1:]]))
