"""One evaluation in several processes, on one machine or many, as ``torchrun`` starts them.

Every process takes each n-th clip and writes its records into the same output folder; the first one waits for the
others and puts the records together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")
PATIENCE = timedelta(days=30)  # one process may have nothing to do while another works for days


@dataclass(frozen=True)
class Shard:
    """This process among all of them."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process puts the results together."""
        return self.rank == 0

    def of(self, clips: list[T]) -> list[T]:
        """This process's part."""
        return clips[self.rank :: self.world]


@contextmanager
def joined_shards() -> Iterator[Shard]:
    """The shard that ``torchrun`` made this process, else the only one; processes find each other before the body."""
    shard = Shard(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
    if shard.world == 1:
        yield shard
        return
    from torch import distributed

    distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield shard
    finally:
        distributed.destroy_process_group()


def wait_for_others(shard: Shard) -> None:
    """Return when every process has come here."""
    if shard.world > 1:
        from torch import distributed

        distributed.barrier()
