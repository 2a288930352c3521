"""Train the flow-based matting U-Net with the published flags (its `main.py`). See `--help`."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.train_matting import train_main

if __name__ == "__main__":
    sys.exit(train_main())
