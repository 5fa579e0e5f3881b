"""What every engine promises, asked of each with real processes."""

import functools
import os

import pytest

from embed.engines.engine import RETRIES, Failure
from embed.engines.ray import Ray
from embed.engines.workers import Workers
from embed.errors import DataError
from tests.clusters import joined_cluster
from tests.embed.engines import deeds
from tests.embed.engines.processes import alive, wait_for


@pytest.fixture(
    scope="module",
    params=["workers", "ray on CPUs", pytest.param("ray on GPUs", marks=pytest.mark.long)],
)
def engine(request):
    """With two workers."""
    if request.param == "workers":
        yield Workers(2)
        return
    gpus = 2 if request.param == "ray on GPUs" else 0
    with joined_cluster(num_cpus=2, num_gpus=gpus):
        yield Ray()


def test_every_item_comes_back_with_its_result(engine):
    found = list(engine.run(deeds.square, range(20)))

    assert sorted(found) == [(n, n * n) for n in range(20)]


def test_without_items_there_are_no_results(engine):
    assert list(engine.run(deeds.square, [])) == []


def test_items_are_taken_as_they_are_needed(engine):
    taken = []
    items = (taken.append(n) or n for n in range(100))

    ahead = []
    for done, _ in enumerate(engine.run(deeds.square, items), start=1):
        ahead.append(len(taken) - done)

    assert len(taken) == 100
    assert max(ahead) <= 5  # two for each worker, and the next


def test_the_work_is_done_in_two_other_processes(engine):
    found = [result for _, result in engine.run(deeds.surroundings, range(40))]

    processes = {process for process, _, _ in found}
    assert os.getpid() not in processes
    assert len(processes) <= 2


def test_what_the_function_raises_is_a_failure_of_that_item(engine):
    found = dict(engine.run(deeds.refuse, range(5)))

    mistake, bug = found.pop(1), found.pop(2)
    assert found == {0: 0, 3: 3, 4: 4}
    assert mistake.reason == "chunk 1 is damaged"
    assert isinstance(mistake.error, DataError)
    assert str(mistake.error) == "chunk 1 is damaged\nand there is more to say"
    assert bug.error is None
    assert bug.reason.startswith("KeyError: 'two' (deeds.py:")


def test_an_item_whose_worker_is_killed_is_tried_again(engine, tmp_path):
    found = dict(engine.run(functools.partial(deeds.die_at_first, tmp_path), range(8)))

    assert found == {n: n for n in range(8)}
    assert deeds.beginnings(tmp_path, 3) == 2


def test_an_item_that_kills_every_worker_is_given_up_and_the_others_are_done(engine, tmp_path):
    found = dict(engine.run(functools.partial(deeds.die_always, tmp_path), range(8)))

    poison = found.pop(3)
    assert found == {n: n for n in range(8) if n != 3}
    assert isinstance(poison, Failure)
    assert poison.reason.startswith("its worker died 4 times")
    assert "\n" not in poison.reason
    assert deeds.beginnings(tmp_path, 3) == RETRIES + 1


def test_to_stop_asking_ends_the_workers(engine, tmp_path):
    results = engine.run(functools.partial(_after_the_first, tmp_path), range(9))

    assert next(results) == (0, 0)
    wait_for(lambda: any(tmp_path.iterdir()), "a worker to begin")
    results.close()

    wait_for(lambda: not any(map(alive, tmp_path.iterdir())), "the workers to end")


def _after_the_first(folder, number):
    return number if number == 0 else deeds.sleep(folder, number)
