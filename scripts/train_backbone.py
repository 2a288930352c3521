"""Train a backbone on single frames (stage 1). See `--help` for examples."""

from __future__ import annotations

import sys

from co2net.cli.train_backbone import main

if __name__ == "__main__":
    sys.exit(main())
