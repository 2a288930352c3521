"""Threads beside the computing: order, bounded waiting, errors where they belong, and none that outlives its work."""

import itertools
import threading
import time

import pytest

from co2net.errors import InputError
from co2net.threads import WriteBehind, map_ahead, read_ahead


def test_items_come_in_order_from_one_other_thread():
    threads = set()

    def source():
        for number in range(50):
            threads.add(threading.current_thread())
            yield number

    with read_ahead(source()) as items:
        assert list(items) == list(range(50))
    assert len(threads) == 1 and threading.current_thread() not in threads


def test_reading_runs_a_few_items_ahead_and_no_more():
    taken = []

    def source():
        for number in range(100):
            taken.append(number)
            yield number

    with read_ahead(source(), depth=3) as items:
        assert next(items) == 0
        deadline = time.monotonic() + 5
        while len(taken) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(taken) == 4, "one used, three waiting"


def test_an_error_comes_where_the_item_would_have_come():
    def source():
        yield 1
        raise InputError("damaged at frame 1")

    found = []
    with pytest.raises(InputError, match="damaged"), read_ahead(source()) as items:
        for item in items:
            found.append(item)
    assert found == [1]


def test_leaving_early_ends_the_thread_before_the_source_is_closed():
    before, closed = threading.active_count(), []

    def source():
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    endless = source()
    with pytest.raises(KeyboardInterrupt), read_ahead(endless) as items:
        for item in items:
            if item == 5:
                raise KeyboardInterrupt
    assert threading.active_count() == before and not closed
    endless.close()
    assert closed


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_results_come_in_the_order_of_the_calls(workers):
    def slow_if_even(number):
        time.sleep(0.002 * (number % 2 == 0))
        return number * number

    with map_ahead(slow_if_even, ((n,) for n in range(40)), workers) as results:
        assert list(results) == [n * n for n in range(40)]


def test_no_more_calls_are_made_than_asked_and_leaving_ends_the_threads():
    before, made = threading.active_count(), []
    with map_ahead(made.append, ((n,) for n in itertools.count()), workers=2, ahead=5) as results:
        next(results)
        next(results)
        assert threading.active_count() > before
    assert len(made) <= 2 + 5 and threading.active_count() == before


def test_an_error_of_a_call_comes_after_the_results_before_it():
    def fail_at_seven(number):
        if number == 7:
            raise InputError("frame 7 is damaged")
        return number

    seen = []
    with map_ahead(fail_at_seven, ((n,) for n in range(20)), 2) as results, pytest.raises(InputError, match="frame 7"):
        for result in results:
            seen.append(result)
    assert seen == list(range(7))


def test_writing_comes_in_order_from_one_other_thread():
    seen = []
    with WriteBehind(lambda i: seen.append((i, threading.current_thread()))) as write:
        for i in range(50):
            write(i)
    assert [i for i, _ in seen] == list(range(50)) and write.done == 50
    assert len({thread for _, thread in seen}) == 1 and seen[0][1] is not threading.current_thread()


def test_the_caller_waits_when_too_far_ahead():
    gate, begun = threading.Event(), []

    def slow(i):
        begun.append(i)
        gate.wait(5)

    with WriteBehind(slow, depth=2) as write:
        for i in range(3):
            write(i)  # one at work, two waiting
        threading.Timer(0.3, gate.set).start()
        started = time.monotonic()
        write(3)
        assert time.monotonic() - started > 0.1
    assert begun == [0, 1, 2, 3]


def test_after_a_failing_call_none_is_made_and_its_error_is_raised():
    made = []

    def fail(i):
        made.append(i)
        if i == 2:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), WriteBehind(fail) as write:
        for i in range(1000):
            write(i)
    assert write.done == 2 and made == [0, 1, 2]


def test_a_failing_last_call_is_raised_on_leaving():
    def fail(i):
        time.sleep(0.05)
        raise ValueError(i)

    with pytest.raises(ValueError, match="7"), WriteBehind(fail) as write:
        write(7)


def test_leaving_by_an_exception_drops_what_waits_and_stops_the_thread():
    done, before = [], threading.active_count()

    def slow(i):
        time.sleep(0.05)
        done.append(i)

    with pytest.raises(KeyboardInterrupt), WriteBehind(slow) as write:
        for i in range(4):
            write(i)
        raise KeyboardInterrupt
    assert len(done) < 4 and threading.active_count() == before
