import itertools
import threading
import time

import pytest

from co2net.errors import InputError
from co2net.threads import ReadAhead


def test_items_come_in_order_from_one_other_thread():
    threads = set()

    def source():
        for number in range(50):
            threads.add(threading.current_thread())
            yield number

    with ReadAhead(source()) as items:
        assert list(items) == list(range(50))
    assert len(threads) == 1 and threading.current_thread() not in threads


def test_it_runs_a_few_items_ahead_and_no_more():
    taken = []

    def source():
        for number in range(100):
            taken.append(number)
            yield number

    with ReadAhead(source(), depth=3) as items:
        assert next(iter(items)) == 0
        deadline = time.monotonic() + 5
        while len(taken) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(taken) == 5, "one used, three waiting, one in hand"


def test_an_error_comes_where_the_item_would_have_come():
    def source():
        yield 1
        raise InputError("damaged at frame 1")

    found = []
    with pytest.raises(InputError, match="damaged"), ReadAhead(source()) as items:
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
    with pytest.raises(KeyboardInterrupt), ReadAhead(endless) as items:
        for item in items:
            if item == 5:
                raise KeyboardInterrupt
    assert threading.active_count() == before and not closed
    endless.close()
    assert closed
