"""How a model learns: one method, one file.

So far there is one, plain supervised training, which is the loop's own:
`tltf.core.objective.Supervised`. A method is a `keras.Model` around the layers
of a `TransferModel` that says what a step minimises, by `compute_loss`, and
lets Keras take the step.
"""

from tltf.core.objective import Supervised

_METHODS = {"supervised": Supervised}


def names() -> list[str]:
    """Names the methods."""
    return list(_METHODS)
