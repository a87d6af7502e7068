"""Proves that what a stage says must move moves, and nothing else.

What is expected follows from the blocks and the stage, never from the
`trainable` flags: those are what so often is wrong.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from tltf.core.graph import batch_norms
from tltf.core.model import TransferModel
from tltf.core.random_state import is_random_state
from tltf.core.stage import Stage
from tltf.errors import AuditError


@dataclasses.dataclass(frozen=True)
class Expectation:
    """Paths of the variables that must and that must not move.

    Args:
        moves: Must differ after the stage.
        learns: Those of `moves` that the optimizer changes; the others are
            statistics.
        stays: Must be equal to the last bit.
        blocks: The names of the blocks that train, the head among them.
    """

    moves: frozenset[str]
    learns: frozenset[str]
    stays: frozenset[str]
    blocks: tuple[str, ...]


def expect(model: TransferModel, stage: Stage) -> Expectation:
    """Says what a stage must move in a model, and what it must not."""
    open_blocks = [block.name for block in model.unfrozen(stage.unfreeze)]
    norms, statistics = _norm_variables(model)
    learns = {
        variable.path
        for name, variables in model.learnable().items()
        if name in open_blocks
        for variable in variables
    }
    if stage.batch_norm == "frozen":
        learns -= norms
    moves = set(learns)
    if stage.batch_norm == "train":
        in_open = _layers_in(model, open_blocks)
        moves |= {
            path for path, layer in statistics.items() if layer in in_open
        }
    everything = {
        variable.path
        for variable in model.variables
        # That moves whenever it is drawn from.
        if not is_random_state(variable)
    }
    return Expectation(
        frozenset(moves),
        frozenset(learns),
        frozenset(everything - moves),
        tuple(open_blocks),
    )


class Audit:
    """Watches a model over a stage, whatever loop trains it.

    Args:
        model: The model whose variables are watched.
        stage: What is meant to happen.
        before: Fingerprints of the variables when the stage began, where it
            is resumed; default, taken when it is entered.

    Raises:
        AuditError: On leaving, if a variable did not do as the stage says.

    Example:
    >>> with Audit(model, Stage(unfreeze=1)):
    ...     model.fit(x, y)
    """

    def __init__(
        self,
        model: TransferModel,
        stage: Stage,
        before: Mapping[str, str] | None = None,
    ):
        self.expectation = expect(model, stage)
        self._model = model
        self._stage = stage
        self.before = before
        self.silent: tuple[str, ...] = ()

    def __enter__(self) -> "Audit":
        if self.before is None:
            self.before = fingerprints(self._model.variables)
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if kind is None:
            self.check_moved()

    def allow_rest(self) -> None:
        """No longer asks that anything moves, only that the rest stays."""
        self.expectation = dataclasses.replace(
            self.expectation, moves=frozenset()
        )

    def check_plan(self, trainable: Iterable[keras.Variable]) -> None:
        """Compares what an optimizer is about to train with the stage.

        Args:
            trainable: The compiled model's trainable variables.

        Raises:
            AuditError: A variable is missing, or one too many.
        """
        planned = {variable.path for variable in trainable}
        missing = sorted(self.expectation.learns - planned)
        extra = sorted(planned - self.expectation.learns)
        if missing:
            raise AuditError(
                f"{self._title} should train {_listed(missing)}, but the"
                " compiled step would not. Was `trainable` changed after the"
                " stage began?"
            )
        if extra:
            raise AuditError(
                f"{self._title} should keep {_listed(extra)} frozen, but the"
                " compiled step would train it."
            )

    def check_moved(self) -> None:
        """Compares what moved since the start with the stage.

        A bias that got no gradient while its layer's kernel moved is noted in
        `silent`, no error: the key's bias of attention has none by its
        mathematics.

        Raises:
            AuditError: A frozen variable moved, or an unfrozen one did not.
        """
        after = fingerprints(self._model.variables)
        moved = {path for path in after if after[path] != self.before[path]}
        strayed = sorted(moved & self.expectation.stays)
        if strayed:
            raise AuditError(
                f"{self._title}: {_listed(strayed)} moved, but is frozen."
                " Something trained a step that was compiled before it was"
                " frozen, or ran frozen batch normalisation in training mode."
            )
        stuck = self.expectation.moves - moved
        self.silent = tuple(sorted(p for p in stuck if _may_rest(p, moved)))
        stuck = sorted(stuck - set(self.silent))
        if stuck:
            raise AuditError(
                f"{self._title}: {_listed(stuck)} should train, but did not"
                " move. Either the step was compiled before it was unfrozen,"
                f" or no gradient reaches it.{self._hint}"
            )

    @property
    def _title(self) -> str:
        return f"Stage '{self._stage.name}' (unfreeze={self._stage.unfreeze!r})"

    @property
    def _hint(self) -> str:
        """What most often keeps gradients from a random backbone."""
        has_norms = any("moving_var" in path for path in self.expectation.stays)
        if self._model.origin["weights"] is not None or not has_norms:
            return ""
        return (
            " The backbone's weights are random and its batch normalisation"
            " stays at its initial statistics, which can let signals vanish:"
            " train from scratch with batch_norm='train'."
        )


def fingerprints(variables: Iterable[keras.Variable]) -> dict[str, str]:
    """Hashes each variable's bits.

    Returns:
        Variable path to hexadecimal SHA-256.
    """
    return {
        variable.path: hashlib.sha256(
            np.ascontiguousarray(variable.numpy()).reshape(-1).view("u1")
        ).hexdigest()
        for variable in variables
    }


def _norm_variables(model):
    """The backbone's batch normalisation.

    Returns:
        Paths of gammas and betas, and statistics' paths to the name of the
        model's layer that holds them.
    """
    in_head = set(model.head.layers)
    affine, statistics = set(), {}
    for layer in model.layers:
        if layer.name in in_head:
            continue
        for norm in batch_norms(layer):
            for variable in (norm.gamma, norm.beta):
                if variable is not None:
                    affine.add(variable.path)
            for variable in (norm.moving_mean, norm.moving_variance):
                statistics[variable.path] = layer.name
    return affine, statistics


def _layers_in(model, names) -> set[str]:
    return {
        layer
        for block in model.blocks
        if block.name in names
        for layer in block.layers
    }


def _may_rest(path: str, moved: set[str]) -> bool:
    layer, _, name = path.rpartition("/")
    siblings = (other for other in moved if other.startswith(layer + "/"))
    return name == "bias" and any(siblings)


def _listed(paths: list[str]) -> str:
    shown = ", ".join(f"'{path}'" for path in paths[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return shown + more
