"""The whole flow in one readable function, and the builder functions."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from tltf import backbones, datasets, records
from tltf.core import recipes
from tltf.core.backbone import Backbone
from tltf.core.cache.settings import CacheSettings
from tltf.core.checkpoints import Checkpoints
from tltf.core.fit import fit
from tltf.core.labels import Labels
from tltf.core.model import TransferModel
from tltf.core.precision import check_precision
from tltf.core.run import Run
from tltf.core.run_folder import RunFolder
from tltf.core.splits import Splits
from tltf.core.stage import Stage
from tltf.exporters import export
from tltf.reports.evaluate import evaluate
from tltf.reports.report import Report


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What `transfer` gives back.

    Args:
        model: The trained model.
        run: How training went.
        report: What was measured.
        model_dir: The run folder.
    """

    model: TransferModel
    run: Run
    report: Report
    model_dir: pathlib.Path


def transfer(
    data: str | Splits,
    backbone: str | keras.Model | Backbone,
    *,
    model_dir: str | pathlib.Path,
    recipe: str | Stage | Sequence[Stage] = "lp_ft",
    recipe_options: Mapping | None = None,
    data_options: Mapping | None = None,
    backbone_options: Mapping | None = None,
    head: str = "linear",
    strategy: str | tf.distribute.Strategy | None = "auto",
    cache: str = "auto",
    cache_memory: int | str | None = None,
    cache_dtype: str = "float32",
    cache_dir: str | pathlib.Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
    resume: bool = False,
    save_every: float = 60.0,
    verbose: bool = False,
) -> Outcome:
    """Goes from data and a backbone to a measured and exported model.

    It is `datasets.load`, `backbones.load`, `TransferModel`, `fit`,
    `evaluate` and `export` in a row; use them one by one for anything that
    this function does not offer.

    Args:
        data: Such as `"folder:flowers/"`, or `Splits`.
        backbone: Such as `"applications:ResNet50"`, a `Backbone`, or a Keras
            model of your own without its top.
        model_dir: The run folder, see below.
        recipe: A recipe's name, or stages.
        recipe_options: Arguments of the recipe of that name.
        data_options: Arguments of `datasets.load`.
        backbone_options: Arguments of `backbones.load`.
        head: `"linear"`, `"mlp"` or `"concat_pool"`.
        strategy: As for `fit`.
        cache: As for `fit`; so are the next three.
        cache_memory: Bytes of memory that features may take.
        cache_dtype: `"float32"`, or `"float16"` for half the room.
        cache_dir: Where features are kept for later runs, and where data
            that are files remember which of them are good. Default: `cache`
            in `model_dir`, and nowhere.
        seed: Of Keras' global generator, the split and the order.
        overwrite: Whether a run that is in `model_dir` is replaced.
        resume: Goes on with the run in `model_dir` where it was stopped or
            killed, see `fit`. The other arguments must be those that it was
            begun with.
        save_every: As for `fit`.
        verbose: Shows progress.

    Returns:
        An `Outcome`. In `model_dir` lie `settings.yaml` (which repeats the
        run), `environment.json`, `labels.json`, `split.json`, `history.csv`,
        `best.keras`, `last.keras`, `report.html`, `report.json`, `export/1`,
        `status.json`, and in `cache` features for the next run.

    Raises:
        FileExistsError: A run is in `model_dir` that is finished or can be
            resumed, or another process writes to it.
        Interrupted: Ctrl-C or SIGTERM came; what was done is saved.
        ValueError: Settings that do not go together.
        DataError: Data that cannot be used.
        UnavailableError: Weights or data that are not here.
        TrainingError: Training went wrong.

    Example:
    >>> outcome = tltf.transfer(
    ...     "folder:flowers/",
    ...     "applications:ResNet50",
    ...     model_dir="runs/flowers",
    ... )
    """
    options = {
        "recipe": dict(recipe_options or {}),
        "data": dict(data_options or {}),
        "backbone": dict(backbone_options or {}),
        "cache": {
            "cache": cache,
            "cache_memory": cache_memory,
            "cache_dtype": cache_dtype,
            "cache_dir": cache_dir,
        },
    }
    stages = recipes.of(recipe, **options["recipe"])
    # What is wrong is said before anything is read or written.
    CacheSettings.of(**options["cache"], model_dir=model_dir)
    folder = RunFolder(model_dir)
    with folder.lock(), folder.claim(overwrite, resume).status():
        keras.utils.set_random_seed(seed)
        model, splits = _model_and_splits(data, backbone, options, head, seed)
        records.write_facts(folder, model, splits)
        options["backbone"]["precision"] = model.precision
        folder.write_text(
            "settings.yaml",
            records.settings(
                data, backbone, splits, recipe, options, head, strategy, seed
            ),
        )
        run = fit(
            model,
            splits,
            recipe=stages,
            strategy=strategy,
            seed=seed,
            model_dir=folder,
            resume=resume,
            save_every=save_every,
            verbose=verbose,
            **options["cache"],
        )
        report = measure(model, splits, run, seed=seed)
        report.save(folder.path)
        export(model, folder.path / "export" / "1", overwrite=True)
        Checkpoints(folder.checkpoints).clear()
    return Outcome(model, run, report, folder.path)


def image_classifier(
    backbone: str | keras.Model | Backbone,
    classes: int | Sequence[str] | Labels,
    *,
    weights: str | None = "pretrained",
    image_size: int | tuple[int, int] | None = None,
    head: str = "linear",
    dropout: float = 0.0,
    unfreeze: int | str = 0,
    precision: str | None = "auto",
) -> TransferModel:
    """Makes an image model in one line, for a training loop of your own.

    Args:
        backbone: Such as `"applications:VGG16"`.
        classes: How many classes, or their names.
        weights: `"pretrained"`, a path, or None for random ones.
        image_size: Pixels; default, what the backbone was trained for.
        head: `"linear"`, `"mlp"` or `"concat_pool"`.
        dropout: Share of features dropped before each Dense layer.
        unfreeze: As for `TransferModel.unfreeze`.
        precision: `"auto"`, `"float32"`, `"bfloat16"` or `"float16"`, see
            `backbones.load`. `compile` scales the loss of float16.

    Example:
    >>> model = tltf.image_classifier("applications:VGG16", classes=5)
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    """
    loaded = _backbone(
        backbone, weights=weights, image_size=image_size, precision=precision
    )
    model = TransferModel(loaded, classes, head=head, dropout=dropout)
    model.unfreeze(unfreeze)
    return model


def text_classifier(
    backbone: str | keras.Model | Backbone,
    classes: int | Sequence[str] | Labels,
    *,
    weights: str | None = "pretrained",
    sequence_length: int = 128,
    head: str = "linear",
    dropout: float = 0.1,
    unfreeze: int | str = 0,
    precision: str | None = "auto",
) -> TransferModel:
    """Makes a text model in one line, for a training loop of your own.

    Its `preprocess` turns strings into what it takes:
    `dataset.batch(32).map(lambda x, y: (model.preprocess(x), y))`.

    Args:
        backbone: Such as `"hub:bert_base_en_uncased"`.
        classes: How many classes, or their names.
        weights: `"pretrained"`, or None for random ones.
        sequence_length: Tokens that a text is cut and padded to.
        head: `"linear"` or `"mlp"`.
        dropout: Share of features dropped before each Dense layer.
        unfreeze: As for `TransferModel.unfreeze`.
        precision: `"auto"`, `"float32"`, `"bfloat16"` or `"float16"`, see
            `backbones.load`. `compile` scales the loss of float16.

    Example:
    >>> model = tltf.text_classifier("hub:bert_base_en_uncased", classes=2)
    """
    loaded = _backbone(
        backbone,
        weights=weights,
        sequence_length=sequence_length,
        precision=precision,
    )
    model = TransferModel(loaded, classes, head=head, dropout=dropout)
    model.unfreeze(unfreeze)
    return model


def measure(
    model: TransferModel, splits: Splits, run: Run, seed: int = 0
) -> Report:
    """Evaluates on the test part, or says that there was none.

    Args:
        model: The trained model.
        splits: What it was trained on.
        run: How training went.
        seed: Of the bootstrap.
    """
    held = splits.test or splits.validation
    notes = list(splits.notes)
    if splits.test is None:
        notes.append(
            "There is no test set: this was measured on the validation set,"
            " which also served to watch training, so it may flatter."
        )
    notes += [note for result in run.stages for note in result.notes]
    report = evaluate(model, held, seed=seed)
    return dataclasses.replace(
        report,
        curves={"history": run.history, "boundaries": run.boundaries},
        notes=[*report.notes, *notes],
        facts={**report.facts, **records.facts(model, splits, run)},
    )


def _model_and_splits(data, backbone, options, head, seed):
    """Makes both agree on the size of pictures."""
    if isinstance(data, Splits):
        size = getattr(data.train.preprocess, "image_size", None)
        if size is not None:
            options["backbone"].setdefault("image_size", size)
    loaded = _backbone(backbone, **options["backbone"])
    if not isinstance(data, Splits):
        known = {"seed": seed}
        if loaded.image_size:
            known["image_size"] = loaded.image_size
        cache_dir = options["cache"]["cache_dir"]
        if cache_dir is not None and datasets.takes(data, "cache_dir"):
            known["cache_dir"] = cache_dir
        data = datasets.load(data, **known | options["data"])
    return TransferModel(loaded, data.labels, head=head), data


def _backbone(backbone, **options) -> Backbone:
    if isinstance(backbone, Backbone):
        wanted = options.get("precision", "auto")
        check_precision(backbone.model, wanted, backbone.name)
        return backbone
    given = {name: v for name, v in options.items() if v is not None}
    if "weights" in options:
        given["weights"] = options["weights"]
    return backbones.load(backbone, **given)
