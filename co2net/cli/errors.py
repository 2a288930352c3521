"""How every command ends: 0 done, 2 bad input (one sentence), 1 our fault (traceback), 130 interrupted."""

from __future__ import annotations

import sys
from collections.abc import Callable

from co2net.errors import InputError


def exit_code(job: Callable[[], object]) -> int:
    """Run `job`, print an :class:`InputError` as one sentence, and return the exit code."""
    try:
        job()
    except InputError as error:
        print(f"co2net: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("co2net: interrupted; nothing half-written is left", file=sys.stderr)
        return 130
    return 0
