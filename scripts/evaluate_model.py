"""Score a model on a data set in HYouTube's layout, with the original's flags. See `--help` for examples."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.evaluate_model import main

if __name__ == "__main__":
    sys.exit(main())
