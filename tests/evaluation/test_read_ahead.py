"""Frames come in order, a bounded number ahead, and errors where they belong."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from co2net.data import FrameEntry
from co2net.data.clips import FrameTensors
from co2net.errors import InputError
from co2net.evaluation import read_ahead
from co2net.evaluation.read_ahead import ReadAhead


def entry(number):
    return FrameEntry(*(Path(f"{column}/v/o/{number:05d}.png") for column in "rmc"))


@pytest.fixture
def reads(monkeypatch):
    """Decoding replaced: a frame's picture holds its number, frame 7 is damaged; what was decoded, as a list."""
    decoded = []

    def read(frame, size, *, real):
        if frame.number == 7:
            raise InputError("frame 7 is damaged")
        decoded.append((frame.number, size, real))
        return FrameTensors(torch.full((3, 2, 2), float(frame.number)), torch.zeros(1, 2, 2), torch.empty(3, 0, 0))

    monkeypatch.setattr(read_ahead, "read_frame", read)
    return decoded


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_frames_come_in_order(reads, workers):
    wanted = [n for n in range(40) if n != 7]
    with ReadAhead(((entry(n), n % 2 == 0) for n in wanted), 32, workers) as frames:
        assert [int(frame.composite[0, 0, 0]) for frame in frames] == wanted
        assert frames.waited > 0 and next(frames, None) is None
    assert sorted(reads) == [(n, 32, n % 2 == 0) for n in wanted]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_comes_after_the_frames_before_it(reads, workers):
    seen = []
    with ReadAhead(((entry(n), True) for n in range(20)), None, workers) as frames:
        with pytest.raises(InputError, match="frame 7 is damaged"):
            seen.extend(int(frame.composite[0, 0, 0]) for frame in frames)
        assert seen == list(range(7)) and next(frames).composite[0, 0, 0] == 8  # the next one is still there


def test_no_more_are_decoded_than_asked(reads):
    with ReadAhead(((entry(n), True) for n in range(100, 200)), None, workers=2, ahead=5) as frames:
        next(frames)
        next(frames)
    assert len(reads) <= 2 + 5


def test_closing_ends_the_threads(reads):
    before = threading.active_count()
    frames = ReadAhead(((entry(n), True) for n in range(100, 200)), None, workers=3)
    next(frames)
    assert threading.active_count() > before
    frames.close()
    assert threading.active_count() == before
