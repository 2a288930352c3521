"""Score pictures of iHarmony4 by the share of their foreground, with the published command line. See `--help`."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.evaluate_images import ratios_main

if __name__ == "__main__":
    sys.exit(ratios_main())
