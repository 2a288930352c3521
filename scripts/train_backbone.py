"""Train a backbone on single frames (stage 1). See `--help` for examples."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.train_backbone import main

if __name__ == "__main__":
    sys.exit(main())
