"""Keras optimizers with a rate for each variable that outlive a recompile."""

import functools
from collections.abc import Mapping

import keras
import tensorflow as tf

from tltf.errors import nearest

# Adam's correction of zero moments divides by 1 - beta ** steps. It counts
# steps for all variables together; these keep a count for each.
_BIAS_CORRECTED = (keras.optimizers.Adam,)


class _PerVariable:
    """Gives each variable its own multiple of the rate, decay and age.

    Gradients cannot be scaled instead: Adam divides the scale out again.
    """

    _paths: tuple[str, ...] = ()
    _multipliers: Mapping[str, float] = {}
    _first_steps: Mapping[str, int] = {}
    _decay = 0.0

    def build(self, variables):
        """Makes the slots, and remembers the variables by path."""
        self._paths = tuple(variable.path for variable in variables)
        super().build(variables)

    def set_variables(
        self,
        multipliers: Mapping[str, float],
        first_steps: Mapping[str, int],
        decay: float = 0.0,
    ) -> None:
        """Sets what differs between variables, before the step is traced.

        Args:
            multipliers: Variable path to its multiple of the rate.
            first_steps: Variable path to the step at which it began to train.
            decay: Decoupled weight decay, of variables of more than one
                dimension, where the optimizer brought none of its own.
        """
        self._multipliers = dict(multipliers)
        self._first_steps = dict(first_steps)
        self._decay = self._decay or decay

    def update_step(self, gradient, variable, learning_rate):
        # TensorFlow hands over its own variable, not Keras'; which it is
        # only `_get_variable_index` tells (Keras 3.15; a test of
        # discriminative rates notices when it changes).
        path = self._paths[self._get_variable_index(variable)]
        rate = learning_rate * self._multipliers.get(path, 1.0)
        if self._decay and len(variable.shape) > 1:
            shrink = keras.ops.cast(rate * self._decay, variable.dtype)
            self.assign_sub(variable, variable * shrink)
        first_step = self._first_steps.get(path, 0)
        if first_step and isinstance(self, _BIAS_CORRECTED):
            rate = rate * self._age_correction(first_step)
        super().update_step(gradient, variable, rate)

    def _age_correction(self, first_step):
        """What turns Adam's bias correction into that of a later start."""
        step = keras.ops.cast(self.iterations + 1, "float32")

        def correction(count):
            rest_1 = 1.0 - keras.ops.power(float(self.beta_1), count)
            rest_2 = 1.0 - keras.ops.power(float(self.beta_2), count)
            return keras.ops.sqrt(rest_2) / rest_1

        return correction(step - first_step) / correction(step)


@keras.saving.register_keras_serializable("tltf")
class LossScale(keras.optimizers.LossScaleOptimizer):
    """Keras' loss scaling, for which every replica's gradients count.

    Keras 3.15 asks the first replica alone whether gradients are finite, and
    an infinity of another one becomes everybody's weights.
    """

    def check_finite(self, grads):
        """Whether no replica has a gradient that is infinite or NaN."""
        finite = super().check_finite(grads)
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync == 1:
            return finite
        overflows = keras.ops.cast(keras.ops.logical_not(finite), "int32")
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, overflows) == 0


def make_optimizer(
    optimizer: str | keras.optimizers.Optimizer, learning_rate
) -> keras.optimizers.Optimizer:
    """Makes a new optimizer that knows rates for each variable.

    Args:
        optimizer: A Keras optimizer's name, or one whose settings are used.
        learning_rate: A float or a schedule, in place of its own.
    """
    if isinstance(optimizer, str):
        known = sorted(_known())
        if optimizer.lower() not in known:
            raise ValueError(
                f"`optimizer` must be one of {known} or a Keras optimizer."
                f" Received: {optimizer!r}.{nearest(optimizer, known)}"
            )
        settings = {"momentum": 0.9} if optimizer.lower() == "sgd" else {}
        optimizer = _known()[optimizer.lower()](**settings)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "`optimizer` must be the one inside the LossScaleOptimizer: the"
            " loss of a float16 model is scaled without being asked."
        )
    config = optimizer.get_config()
    # Keras applies decay outside of the update, at one rate for all.
    decay = config.pop("weight_decay", None)
    # The name is part of every slot's path, by which slots are carried over.
    config |= {"learning_rate": learning_rate, "name": "optimizer"}
    base = type(optimizer)
    base = keras.optimizers.Adam if base is keras.optimizers.AdamW else base
    made = _per_variable(base).from_config(config)
    made.set_variables({}, {}, decay or 0.0)
    return made


def with_loss_scale(
    optimizer: keras.optimizers.Optimizer, precision: str
) -> keras.optimizers.Optimizer:
    """Wraps the optimizer of a float16 model, others are returned as is.

    Small gradients would be zero in float16, so the loss is multiplied by a
    scale and the gradients divided by it. Where a gradient overflows, that
    step is skipped and the scale halved: neither weights nor step count
    change, and the loss that is logged is not scaled.

    Args:
        optimizer: Not built yet; its rates for each variable are set.
        precision: As `TransferModel.precision` names it.
    """
    if precision != "float16":
        return optimizer
    return LossScale(optimizer, name="loss_scale_optimizer")


def carry_over(
    old: keras.optimizers.Optimizer | None, new: keras.optimizers.Optimizer
) -> int:
    """Copies the step count and the moments of shared variables.

    The scale of a float16 model's loss is carried over with them.

    Args:
        old: The built optimizer of the stage before; None for the first.
        new: A built optimizer.

    Returns:
        How many slots were copied; step count and loss scale are none.
    """
    if old is None:
        return 0
    old, new = _without_loss_scale(old, new)
    theirs, ours = _by_path(old), _by_path(new)
    count = next(path for path in theirs if path.endswith("/iteration"))
    ours.pop(count).assign(theirs.pop(count))
    carried = [
        path
        for path in ours
        if path in theirs
        and not path.endswith("/learning_rate")
        and ours[path].shape == theirs[path].shape
    ]
    for path in carried:
        ours[path].assign(theirs[path])
    return len(carried)


def _without_loss_scale(old, new):
    """Carries the scale over, and returns the optimizers inside."""
    scaling = keras.optimizers.LossScaleOptimizer
    if isinstance(old, scaling) and isinstance(new, scaling):
        new.dynamic_scale.assign(old.dynamic_scale)
        new.step_counter.assign(old.step_counter)
    return (
        getattr(optimizer, "inner_optimizer", optimizer)
        for optimizer in (old, new)
    )


def _by_path(optimizer) -> dict[str, keras.Variable]:
    """The optimizer's variables whose path is theirs alone.

    Adafactor's slots share the paths of others (Keras 3.15); which belongs to
    which variable cannot be told, so they begin anew.
    """
    paths = [variable.path for variable in optimizer.variables]
    return {
        variable.path: variable
        for variable in optimizer.variables
        if paths.count(variable.path) == 1
    }


@functools.cache
def _known() -> dict[str, type]:
    """Keras' optimizers by lower-case name."""
    base = keras.optimizers.Optimizer
    found = {
        name.lower(): value
        for name, value in vars(keras.optimizers).items()
        if isinstance(value, type) and issubclass(value, base)
    }
    # A base class, two that wrap another, one that is for matrices alone.
    for other in ("optimizer", "lossscaleoptimizer", "multioptimizer", "muon"):
        found.pop(other, None)
    return found


@functools.cache
def _per_variable(base: type) -> type:
    """The Keras optimizer with what is in `_PerVariable`."""
    if issubclass(base, _PerVariable):
        return base
    made = type(f"Staged{base.__name__}", (_PerVariable, base), {})
    return keras.saving.register_keras_serializable("tltf")(made)
