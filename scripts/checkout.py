"""Imported by the programs beside it: finds co2net in this checkout, where it need not be installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
