"""Put composites and what models make of them side by side. The same as `co2net before-after`."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli import main

if __name__ == "__main__":
    sys.exit(main(["before-after", *sys.argv[1:]]))
