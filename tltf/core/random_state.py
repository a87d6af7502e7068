"""The state of what is random in a model: dropout and its like."""

import keras
import numpy as np

_STATE = "seed_generator_state"


def is_random_state(variable: keras.Variable) -> bool:
    """Whether a variable is the state of a random generator."""
    return variable.path.endswith(_STATE)


def seed_generators(model: keras.Model, seed: int) -> None:
    """Sets the state of every random generator in a model from one seed."""
    states = [v for v in model.variables if is_random_state(v)]
    for i, state in enumerate(states):
        state.assign(np.array([seed, i], "uint32"))
