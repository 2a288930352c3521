"""Train CDTNet or DucoNet on iHarmony4, with the published command lines. See `--help` for examples."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.train_images import main

if __name__ == "__main__":
    sys.exit(main())
