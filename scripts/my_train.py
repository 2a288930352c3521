"""Train the refinement on video clips (stage 2). See `--help` for examples."""

from __future__ import annotations

import sys

from co2net.cli.train_refinement import main

if __name__ == "__main__":
    sys.exit(main())
