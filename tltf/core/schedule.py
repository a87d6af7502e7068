"""How the learning rate goes over the steps of a stage."""

import math

import keras

from tltf.errors import nearest

_ops = keras.ops

# ULMFiT (Howard & Ruder 2018, eq. 3): share of steps that rise, peak / lowest.
_CUT_FRACTION, _RATIO = 0.1, 32.0
# fastai's one cycle: peak / start, peak / end, share of steps that rise.
_ONE_CYCLE_START, _ONE_CYCLE_END, _ONE_CYCLE_RISE = 25.0, 1e5, 0.25


def _constant(step, steps):
    return _ops.ones_like(step)


def _cosine(step, steps):
    return (1 + _ops.cos(math.pi * step / steps)) / 2


def _slanted_triangular(step, steps):
    """ULMFiT's triangle.

    Its last leg is divided by `steps - cut`: as printed in the paper, which
    divides by `cut * (1 / cut_fraction - 1)`, the rate falls below its lowest
    value and then below zero where `steps * cut_fraction` is no integer.
    """
    cut = max(math.floor(steps * _CUT_FRACTION), 1)
    rise, fall = step / cut, 1 - (step - cut) / max(steps - cut, 1)
    return (1 + _ops.where(step < cut, rise, fall) * (_RATIO - 1)) / _RATIO


def _one_cycle(step, steps):
    """A cosine up and a cosine down (Smith 2018, with fastai's figures)."""
    peak = max(steps * _ONE_CYCLE_RISE, 1.0)
    up = _between(1 / _ONE_CYCLE_START, 1.0, step / peak)
    down = _between(
        1.0, 1 / _ONE_CYCLE_END, (step - peak) / max(steps - peak, 1.0)
    )
    return _ops.where(step < peak, up, down)


def _between(start, end, share):
    return end + (start - end) * (1 + _ops.cos(math.pi * share)) / 2


SHAPES = {
    "constant": _constant,
    "cosine": _cosine,
    "slanted_triangular": _slanted_triangular,
    "one_cycle": _one_cycle,
}


@keras.saving.register_keras_serializable("tltf")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of a stage, counted from the stage's first step.

    Args:
        peak: The highest rate.
        steps: How many steps it spans.
        shape: `"constant"`, `"cosine"` (to zero), `"slanted_triangular"`
            (ULMFiT) or `"one_cycle"` (fastai).
        warmup: Share of the steps over which the rate first rises linearly
            from zero; the shape takes the rest.
        first_step: The optimizer's step at which it begins: optimizers keep
            counting over stages.

    Example:
    >>> schedule = Schedule(0.01, steps=100, shape="slanted_triangular")
    >>> float(schedule(10))
    0.01
    """

    def __init__(
        self,
        peak: float,
        steps: int,
        shape: str = "constant",
        warmup: float = 0.0,
        first_step: int = 0,
    ):
        if shape not in SHAPES:
            raise ValueError(
                f"`schedule` must be one of {list(SHAPES)}."
                f" Received: {shape!r}.{nearest(shape, SHAPES)}"
            )
        self.peak, self.steps, self.shape = peak, steps, shape
        self.warmup, self.first_step = warmup, first_step

    def __call__(self, step):
        """Returns the rate at the optimizer's step, a scalar."""
        step = _ops.cast(step, "float32") - self.first_step
        step = _ops.clip(step, 0.0, float(self.steps))
        rising = round(self.warmup * self.steps)
        shaped = SHAPES[self.shape](
            _ops.maximum(step - rising, 0.0), max(self.steps - rising, 1)
        )
        if rising:
            ramp = _ops.minimum((step + 1) / rising, 1.0)
            shaped = _ops.where(step < rising, ramp * shaped, shaped)
        return self.peak * shaped

    def get_config(self) -> dict:
        """Returns plain data that `Schedule(**config)` takes back."""
        return {
            "peak": self.peak,
            "steps": self.steps,
            "shape": self.shape,
            "warmup": self.warmup,
            "first_step": self.first_step,
        }
