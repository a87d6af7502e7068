"""Named recipes: functions that give a tuple of stages.

The defaults are starting points from the work that each names; they are plain
data, so print one to see it and `dataclasses.replace` what should differ.
"""

import dataclasses
import inspect
from collections.abc import Sequence

from tltf.core.stage import Stage
from tltf.errors import nearest


def linear_probe(
    epochs: int = 10,
    learning_rate: float = 1e-3,
    solver: str = "auto",
    **stage,
) -> tuple[Stage, ...]:
    """Trains the head on the frozen backbone.

    A linear head is solved to convergence by L-BFGS, its regularisation
    chosen on the validation part (as in Kornblith et al. 2019, "Do Better
    ImageNet Models Transfer Better?"); another is trained in steps.

    Args:
        epochs: How many, where it is trained in steps.
        learning_rate: Adam's default, as in the Keras transfer guide.
        solver: `"auto"`, `"lbfgs"`, or `"steps"` for the optimizer whatever
            the head.
        **stage: Further arguments of `Stage`.
    """
    return (
        Stage(
            unfreeze=0,
            epochs=epochs,
            learning_rate=learning_rate,
            solver=solver,
            **stage,
        ),
    )


def fine_tune(
    epochs: int = 10,
    learning_rate: float = 1e-4,
    unfreeze: int | str = "all",
    **stage,
) -> tuple[Stage, ...]:
    """Trains head and backbone together from the first step.

    Args:
        epochs: How many.
        learning_rate: For all, unless `discriminative` is given.
        unfreeze: How much of the backbone trains.
        **stage: Further arguments of `Stage`.
    """
    return (
        Stage(
            unfreeze=unfreeze,
            epochs=epochs,
            learning_rate=learning_rate,
            **stage,
        ),
    )


def lp_ft(
    head_epochs: int = 10,
    epochs: int = 5,
    unfreeze: int | str = "all",
    head_learning_rate: float = 1e-3,
    learning_rate: float = 1e-5,
    head_solver: str = "steps",
    **stage,
) -> tuple[Stage, ...]:
    """Trains the head first, then all from that head at a small rate.

    The head trains on the examples as they are, so that their features are
    computed once; what is to be augmented is so in the second stage.

    Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and
    Underperform Out-of-Distribution". The rates are those of the Keras
    transfer guide.

    Args:
        head_epochs: Epochs of the head alone.
        epochs: Epochs of the second stage.
        unfreeze: How much of the backbone the second stage trains.
        head_learning_rate: Of the first stage.
        learning_rate: Of the second stage.
        head_solver: `"steps"`; or `"auto"`, which solves a linear head to
            convergence instead, as `linear_probe` does.
        **stage: Further arguments of the second `Stage`.
    """
    first = linear_probe(head_epochs, head_learning_rate, head_solver)
    return first + fine_tune(epochs, learning_rate, unfreeze, **stage)


def gradual_unfreezing(
    blocks: int = 3,
    epochs: int = 1,
    learning_rate: float = 1e-3,
    discriminative: float = 2.6,
    **stage,
) -> tuple[Stage, ...]:
    """Trains the head, then one block more in each stage, top to bottom.

    Howard & Ruder 2018 (ULMFiT): one block an epoch, each block's rate that
    of the next above divided by 2.6, one slanted triangle over all stages.
    Augmentation without `views` begins with the first block that trains.

    Args:
        blocks: How many blocks are unfrozen at the end.
        epochs: Epochs of each stage.
        learning_rate: The peak, for the head and the topmost block.
        discriminative: What a block's rate is divided by for the block
            below.
        **stage: Further arguments of every `Stage`.
    """
    settings = {"schedule": "slanted_triangular", "span": "recipe"} | stage
    # The head trains on features that are computed once.
    clean = {} if stage.get("views") else {"augment": "none"}
    return tuple(
        Stage(
            unfreeze=count,
            epochs=epochs,
            learning_rate=learning_rate,
            discriminative=discriminative,
            **settings | (clean if count == 0 else {}),
        )
        for count in range(blocks + 1)
    )


NAMED = {
    "linear_probe": linear_probe,
    "fine_tune": fine_tune,
    "lp_ft": lp_ft,
    "gradual_unfreezing": gradual_unfreezing,
}


def of(recipe: str | Stage | Sequence[Stage], **options) -> tuple[Stage, ...]:
    """Returns the stages of a recipe's name, a stage, or stages.

    Args:
        recipe: Any of these.
        **options: Arguments of the recipe, where it is a name.

    Raises:
        ValueError: There is no recipe of that name, or not with those
            options.
        TypeError: It is none of these.
    """
    if isinstance(recipe, str):
        if recipe not in NAMED:
            raise ValueError(
                f"`recipe` must be one of {list(NAMED)} or stages."
                f" Received: {recipe!r}.{nearest(recipe, NAMED)}"
            )
        _check_options(recipe, options)
        return NAMED[recipe](**options)
    if options:
        raise ValueError(
            f"{sorted(options)} are arguments of a named recipe; these are"
            " stages, which have their own."
        )
    stages = (recipe,) if isinstance(recipe, Stage) else tuple(recipe)
    strangers = [s for s in stages if not isinstance(s, Stage)]
    if strangers or not stages:
        raise TypeError(
            "`recipe` must be a name or a tuple of tltf.Stage, at least one."
            f" Received: {strangers or stages!r}"
        )
    return stages


def resolved(name: str, **options) -> dict:
    """Returns a named recipe's arguments with what was left to default."""
    parameters = inspect.signature(NAMED[name]).parameters
    defaults = {n: p.default for n, p in parameters.items() if n != "stage"}
    return defaults | options


def _check_options(name: str, options: dict) -> None:
    own = [p for p in inspect.signature(NAMED[name]).parameters if p != "stage"]
    known = own + [field.name for field in dataclasses.fields(Stage)]
    for option in options:
        if option not in known:
            raise ValueError(
                f"Recipe '{name}' has no argument '{option}'."
                f"{nearest(option, known)} It has {', '.join(known)}."
            )
