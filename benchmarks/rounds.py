"""Runs every peer several times, each time in a process of its own."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from benchmarks.peers import PEERS
from benchmarks.peers.task import Task

_ROOT = pathlib.Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What came back.

    Args:
        runs: Peer to what each of its runs printed.
        absent: Peer to why it did not run, or not to the end.
        versions: Package to version.
    """

    runs: dict[str, list[dict]]
    absent: dict[str, str]
    versions: dict[str, str]


def measure(
    task: Task, names: Sequence[str], runs: int, torch_python: str
) -> Measured:
    """Measures peers in alternating order, there and back.

    This process stays small: a child's peak memory begins with its parent's.

    Args:
        task: What each of them does.
        names: Keys of `PEERS`.
        runs: How often each runs.
        torch_python: The Python of PyTorch's peers.
    """
    found, absent, versions = {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            told = _child(name, "prepare", folder, task, torch_python)
            if "reason" in told:
                absent[name] = told["reason"]
                _say(f"{name}: {told['reason']}")
            versions |= told.get("versions", {})
        for number in range(runs):
            order = names if number % 2 == 0 else reversed(names)
            for name in [name for name in order if name not in absent]:
                told = _child(name, "run", folder, task, torch_python)
                if "reason" in told:
                    absent[name] = told["reason"]
                    _say(f"{name}: {told['reason']}")
                    continue
                found.setdefault(name, []).append(told)
                _say(
                    f"{name}, run {number + 1} of {runs}:"
                    f" {told['cpu_seconds']:.1f} CPU s"
                )
    return Measured(
        {name: found[name] for name in names if name in found},
        absent,
        {name: told for name, told in versions.items() if told},
    )


def _child(name, verb, folder, task, torch_python):
    """Runs one peer and reads the line that it prints last."""
    python = torch_python if PEERS[name].is_torch else sys.executable
    command = [python, "-m", "benchmarks.peers", name, verb, folder]
    done = subprocess.run(
        [*command, task.to_json()],
        cwd=_ROOT,
        env=_environment(task.threads),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        _say("\n".join(lines[-15:]))
        return {"reason": f"failed: {lines[-1]}"}
    return json.loads(done.stdout.splitlines()[-1])


def _environment(threads):
    """Quiet, without the network, and with the same number of threads.

    PyTorch's threads wait for each other in a busy loop, which on a machine
    that does anything else is most of their CPU seconds. A wait policy that
    is set outside is left as it is.
    """
    waiting = {"OMP_WAIT_POLICY": "passive"}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "HF_HUB_OFFLINE": "1"}
    pools = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    limits = {name: str(threads) for name in pools} if threads else {}
    return waiting | os.environ | quiet | limits


def _say(line):
    print(line, file=sys.stderr, flush=True)
