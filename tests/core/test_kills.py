"""SIGKILL at random moments costs nothing that a resumed run does not have."""

import collections
import multiprocessing
import os
import pathlib
import signal
import time

import numpy as np
import pytest

from tests.core import killed

# Each test of the two, which run beside each other.
_KILLS = 25


@pytest.fixture(scope="module")
def processes():
    """Forks from a process that has imported TensorFlow, not begun with it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.core.killed"])
    return context


def begin(processes, folder, traced, **options):
    """Starts a run, and returns when it has begun to train."""
    pathlib.Path(traced).unlink(missing_ok=True)
    process = processes.Process(
        target=killed.train, args=(str(folder), str(traced)), kwargs=options
    )
    process.start()
    while process.is_alive():
        if traced.exists() and killed.BEGUN in traced.read_text():
            break
        time.sleep(0.005)
    return process


def outcome(folder):
    with np.load(folder / "outcome.npz") as stored:
        return [stored[name] for name in stored.files]


@pytest.fixture(scope="module")
def undisturbed(processes, tmp_path_factory):
    """The outcome of a run that was never saved, and how long one takes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    begin(processes, folder / "a", folder / "a.txt", save_every=1e9).join()
    process = begin(processes, folder / "b", folder / "b.txt")
    started = time.perf_counter()
    process.join()
    return outcome(folder / "a"), time.perf_counter() - started


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random_moments(processes, undisturbed, tmp_path, seed):
    expected, seconds = undisturbed
    random = np.random.default_rng(seed)
    struck, runs, traced = collections.Counter(), 0, tmp_path / "trace.txt"
    while struck.total() < _KILLS:
        folder = tmp_path / str(runs)
        while not (folder / "outcome.npz").exists():
            process = begin(processes, folder, traced)
            if struck.total() < _KILLS:
                process.join(random.uniform(0, seconds))
            else:
                process.join()
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                struck[traced.read_text().splitlines()[-1]] += 1
            else:
                assert process.exitcode == 0
        for found, wanted in zip(outcome(folder), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
        assert not (folder / "checkpoints").exists()
        runs += 1
    for what, count in struck.most_common():
        print(f"{count:3} kills when the last thing noted was: {what}")
    print(f"{runs} runs ended, each in the weights of the undisturbed one")
    assert len(struck) >= 4
