"""Files of weights: reading them, and saying which one is missing."""

import contextlib
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator

import h5py
import keras

from tltf.errors import UnavailableError

_PATIENCE = 10  # Seconds without an answer after which there is no network.


def check_exists(path: str, argument: str) -> None:
    """Raises an error that names the path if nothing is there.

    Args:
        path: File or folder.
        argument: What the user wrote it for, such as `weights`.
    """
    if os.path.exists(path):
        return
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    raise ValueError(
        f"`{argument}` names a file or folder that does not exist: {path!r}"
        f" ({folder} exists and holds {sorted(os.listdir(folder))[:8]})."
    )


def load_weights(model: keras.Model, path: str, model_name: str) -> None:
    """Loads a file of weights into a model of the same architecture.

    Args:
        model: The model without its top.
        path: A `.weights.h5`, or an `.h5` of Keras' older format.
        model_name: How the user calls the model.

    Raises:
        ValueError: There is no such file, or it is of another model.
    """
    check_exists(path, "weights")
    if not path.endswith(".h5"):
        raise ValueError(
            "`weights` must be a pretrained set's name, None, or the path of"
            f" a .weights.h5 file. Received: {path!r}. A whole model is"
            " loaded with 'saved:model.keras'."
        )
    try:
        _check_count(model, path)
        model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"The weights in {path!r} do not fit {model_name} without its"
            f" top, which has {len(model.weights)} variables. Were they saved"
            f" from another network, or one with a head? Keras says: {error}"
        ) from error


def _check_count(model, path):
    """Raises an error if a file holds fewer variables than a model.

    Keras only warns of layers that the file does not have, and leaves them
    with their random weights.
    """
    if not path.endswith(".weights.h5"):
        return  # The older format is checked by Keras.
    found = []
    with h5py.File(path) as file:
        file.visititems(
            lambda _, item: (
                found.append(item) if isinstance(item, h5py.Dataset) else None
            )
        )
        if len(found) < len(model.weights):
            raise ValueError(f"The file holds {len(found)} variables.")


@contextlib.contextmanager
def patience(seconds: float = _PATIENCE) -> Iterator[None]:
    """Lets new connections wait no longer than this for an answer.

    Keras downloads without a time limit: where a firewall swallows packets,
    it would wait for minutes.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def check_reachable(host: str, advice: str) -> None:
    """Raises an error if a host does not answer within seconds.

    With a proxy set there is nothing to find out in this way.

    Args:
        host: Such as `huggingface.co`.
        advice: What is wanted from there, and what to do without it.
    """
    if "https" in urllib.request.getproxies():
        return
    answered = threading.Event()

    def connect():
        with contextlib.suppress(OSError):
            socket.create_connection((host, 443), _PATIENCE).close()
            answered.set()

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(_PATIENCE)
    if not answered.is_set():
        raise UnavailableError(f"{host} does not answer. {advice}")
