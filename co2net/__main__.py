"""``python -m co2net`` is the ``co2net`` command."""

import sys

from co2net.cli import main

sys.exit(main())
