import threading
import time

import pytest

from co2net.pipeline.background import BackgroundCalls


def test_calls_come_in_order_from_one_other_thread():
    seen = []
    with BackgroundCalls(lambda i: seen.append((i, threading.current_thread()))) as call:
        for i in range(50):
            call(i)
    assert [i for i, _ in seen] == list(range(50)) and call.done == 50
    assert len({thread for _, thread in seen}) == 1 and seen[0][1] is not threading.current_thread()


def test_the_caller_waits_when_too_far_ahead():
    gate, begun = threading.Event(), []

    def slow(i):
        begun.append(i)
        gate.wait(5)

    with BackgroundCalls(slow, depth=2) as call:
        for i in range(3):
            call(i)  # one at work, two waiting
        threading.Timer(0.3, gate.set).start()
        started = time.monotonic()
        call(3)
        assert time.monotonic() - started > 0.1
    assert begun == [0, 1, 2, 3]


def test_a_failing_call_is_raised_where_the_frames_come_from():
    def fail(i):
        if i == 2:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), BackgroundCalls(fail) as call:
        for i in range(1000):
            call(i)
    assert call.done == 2


def test_a_failing_last_call_is_raised_on_leaving():
    def fail(i):
        time.sleep(0.05)
        raise ValueError(i)

    with pytest.raises(ValueError, match="7"), BackgroundCalls(fail) as call:
        call(7)


def test_leaving_by_an_exception_drops_what_waits_and_stops_the_thread():
    done, before = [], threading.active_count()

    def slow(i):
        time.sleep(0.05)
        done.append(i)

    with pytest.raises(KeyboardInterrupt), BackgroundCalls(slow) as call:
        for i in range(4):
            call(i)
        raise KeyboardInterrupt
    assert len(done) < 4 and threading.active_count() == before
