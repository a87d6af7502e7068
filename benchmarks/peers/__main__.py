"""Prepares or runs one peer in this process, and prints one line of JSON.

python -m benchmarks.peers PEER prepare|run FOLDER TASK
"""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import sys

from benchmarks.peers import PEERS, NotAvailable, data
from benchmarks.peers.clock import Clock, peak_memory
from benchmarks.peers.task import Task

_PACKAGES = ("numpy", "tensorflow", "keras", "keras-hub", "tltf")
_TORCH_PACKAGES = ("numpy", "torch", "transformers", "accelerate")


def main(name: str, verb: str, folder: str, line: str) -> None:
    """Does what the command line says."""
    task, peer = Task.from_json(line), PEERS[name]
    missing = [need for need in peer.needs if not _is_installed(need)]
    if missing:
        _tell({"reason": f"needs {', '.join(missing)}: {peer.install}"})
        return
    _keep_to(task.threads)
    module = importlib.import_module(f"benchmarks.peers.{peer.module}")
    try:
        if verb == "prepare":
            module.prepare(task, pathlib.Path(folder))
            _tell({"versions": _versions(peer)})
        else:
            _tell({"peer": name} | _run(peer, module, task, folder))
    except NotAvailable as error:
        _tell({"reason": f"n/a: {error}"})


def _run(peer, module, task, folder):
    """Runs with the data in memory and the libraries imported."""
    examples = data.make(task)
    clock, before = Clock(), peak_memory()
    losses = module.run(task, pathlib.Path(folder), examples, clock)
    clock.end()
    return {
        "cpu_seconds": clock.total("cpu", peer.counted),
        "wall_seconds": clock.total("wall", peer.counted),
        "peak_memory": peak_memory(),
        "memory_before": before,
        **losses,
        "stages": clock.sections,
    }


def _keep_to(threads):
    """Leaves the process so many cores, whatever its libraries think."""
    if threads and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])


def _is_installed(name):
    return importlib.util.find_spec(name) is not None


def _versions(peer):
    names = _TORCH_PACKAGES if peer.is_torch else _PACKAGES
    return {name: _version(name) for name in names} | {
        "python": ".".join(map(str, sys.version_info[:3]))
    }


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _tell(figures):
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
