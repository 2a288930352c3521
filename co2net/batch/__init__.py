"""Many shots: a list of them, workers that do them, what was done and what wants a look."""

from co2net.batch.jobs import Batch, ShotResult, run_batch
from co2net.batch.report import write_report
from co2net.batch.shots import Shot, read_shots

__all__ = ["Batch", "Shot", "ShotResult", "read_shots", "run_batch", "write_report"]
