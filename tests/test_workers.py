"""Jobs on worker processes: every job ends somehow, whatever happens to a worker."""

from __future__ import annotations

import pytest
import worker_jobs

from co2net.errors import InputError
from co2net.workers import KILLED, run_jobs, try_jobs


def test_every_job_ends_and_failures_are_told_apart():
    ended = {o.index: o for o in try_jobs(worker_jobs.job, [3, 13, 5, 7], 2, tries=2)}
    assert [ended[0].result, ended[2].result] == [9, 25]
    assert isinstance(ended[1].error, InputError) and ended[1].tries == 1  # the same input fails again
    assert isinstance(ended[3].error, ZeroDivisionError) and ended[3].tries == 2


def test_a_killed_worker_costs_one_try_of_its_job_only(tmp_path):
    marks = [tmp_path / f"{n}" for n in range(5)]
    for mark in marks[1:]:
        mark.touch()
    ended = sorted(try_jobs(worker_jobs.killed_once, marks, 2), key=lambda o: o.index)
    assert [o.result for o in ended] == [mark.name for mark in marks]
    assert [o.tries for o in ended] == [2, 1, 1, 1, 1]


def test_a_job_that_always_kills_its_worker_is_given_up(tmp_path):
    (outcome,) = try_jobs(worker_jobs.always_killed, [tmp_path / "mark"], 1, tries=3)
    assert str(outcome.error) == KILLED and (tmp_path / "mark").read_text() == "xxx"


def test_leaving_early_finishes_what_has_begun_and_begins_nothing(tmp_path):
    marks = [tmp_path / f"{n}" for n in range(8)]
    with pytest.raises(KeyboardInterrupt):
        for _ in try_jobs(worker_jobs.slow, marks, 2):
            raise KeyboardInterrupt
    assert 1 <= sum(mark.exists() for mark in marks) <= 4


def test_the_first_failure_ends_a_run():
    with pytest.raises(InputError, match="bad luck"):
        list(run_jobs(worker_jobs.job, [3, 13, 5], 2))
    assert sorted(run_jobs(worker_jobs.job, [1, 2], 1)) == [1, 4]


@pytest.mark.parametrize("wrong", [{"tries": 0}, {"workers": -1}, {"gpus": -1}, {"on": "moon"}])
def test_settings_out_of_range(wrong):
    with pytest.raises(InputError):
        list(try_jobs(worker_jobs.job, [1], **{"workers": 1, **wrong}))
