"""What all readers share: they are context managers that close."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

Reader = TypeVar("Reader", bound="Closing")


class Closing:
    """Leaving the ``with`` block closes, however it is left."""

    def __enter__(self: Reader) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open; closing twice is allowed."""
        raise NotImplementedError
