"""What a run folder says of a run: settings, environment, facts."""

import dataclasses
import pathlib
import platform
import sys
import time

import keras
import numpy as np
import tensorflow as tf
import yaml

from tltf._version import __version__
from tltf.core import recipes
from tltf.core.model import TransferModel
from tltf.core.run import Run
from tltf.core.run_folder import RunFolder
from tltf.core.splits import Splits


def write_facts(
    folder: RunFolder, model: TransferModel, splits: Splits
) -> None:
    """Writes what a run rests on: environment, labels, which example where.

    Args:
        folder: The run folder.
        model: What is trained.
        splits: The data.
    """
    folder.write_json(
        "environment.json",
        {
            "tltf": __version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "system": f"{platform.system()} {platform.machine()}",
            "devices": [d.name for d in tf.config.list_logical_devices()],
            "precision": model.precision,
            "command": [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]],
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    )
    folder.write_json("labels.json", splits.labels.get_config())
    folder.write_json(
        "split.json",
        {
            "source": splits.source,
            "notes": splits.notes,
            "skipped": [dataclasses.asdict(s) for s in splits.skipped],
            "sizes": {name: len(part) for name, part in splits.parts.items()},
            "counts": {n: p.class_counts for n, p in splits.parts.items()},
            "examples": {
                name: list(part.names)
                for name, part in splits.parts.items()
                if part.names is not None
            },
        },
    )


def settings(
    data, backbone, splits, recipe, options, head, strategy, seed
) -> str:
    """Returns, as YAML, what `tltf train --config_file` repeats a run from."""
    plain = {
        "data": data if isinstance(data, str) else data.source,
        "backbone": (
            backbone
            if isinstance(backbone, str)
            else getattr(backbone, "name", "own")
        ),
        **options["data"],
        **options["backbone"],
        "batch_size": splits.train.batch_size,
        "recipe": recipe if isinstance(recipe, str) else "stages",
        **(
            recipes.resolved(recipe, **options["recipe"])
            if isinstance(recipe, str)
            else {}
        ),
        "head": head,
        "strategy": strategy if isinstance(strategy, str) else "own",
        **{
            name: value if isinstance(value, int) else str(value)
            for name, value in options["cache"].items()
            if value is not None
        },
        "seed": seed,
    }
    if plain.get("weights", "") is None:
        plain["weights"] = "none"
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    if not isinstance(recipe, str):
        stages = [stage.to_dict() for stage in recipes.of(recipe)]
        listed = yaml.safe_dump({"stages": stages}, sort_keys=False)
        text += "# Stages of your own, which no flag can repeat:\n"
        text += "".join(f"# {line}\n" for line in listed.splitlines())
    return text


def facts(model: TransferModel, splits: Splits, run: Run) -> dict:
    """Returns what a report says of how a model came about."""
    sizes = ", ".join(f"{len(p)} {name}" for name, p in splits.parts.items())
    return {
        "data": f"{splits.source} ({sizes})",
        "backbone": model.origin["backbone"],
        "weights": model.origin["weights"] or "random",
        "precision": model.precision,
        "recipe": " → ".join(
            f"{r.stage.name} (solved)"
            if r.solved
            else f"{r.stage.name} ({r.epochs} epoch{'s' * (r.epochs > 1)}"
            f" at {r.stage.learning_rate:g})"
            for r in run.stages
        ),
        "seed": run.seed,
        "training seconds": round(sum(r.seconds for r in run.stages), 1),
        "audit": "; ".join(
            f"{r.stage.name}: {r.learned} variables learned, {r.still} proved"
            " still"
            for r in run.stages
        ),
    }
