"""TFDS builders, looked for on this machine before the network."""

import os
import threading
import urllib.error
import urllib.request

from tltf.errors import DataError, UnavailableError, nearest

# TFDS keeps its own files here, so who cannot reach it is most likely offline.
# Its own downloads notice that after 204 seconds.
_PROBE = "https://storage.googleapis.com/tfds-data"
_PROBE_SECONDS = 5.0


def find(name: str, data_dir: str | None = None):
    """Makes the builder of a dataset, without the network.

    Args:
        name: Such as `"mnist"`, or a folder that holds `dataset_info.json`.
        data_dir: Where TFDS keeps its data; default, what TFDS says.

    Raises:
        DataError: There is none of that name.
        UnavailableError: TensorFlow Datasets is not installed.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UnavailableError(
            f"tfds:{name} needs tensorflow-datasets, which cannot be imported:"
            f" {error}. Install it with: pip install tensorflow-datasets"
            " importlib_resources"
        ) from error
    folder = os.path.expanduser(name)
    if os.path.isfile(os.path.join(folder, "dataset_info.json")):
        return tfds.builder_from_directory(folder)
    if os.path.isabs(folder) or name.startswith("."):
        raise DataError(
            f"{name} holds no dataset_info.json. Name the folder of one"
            " version, such as PATH/my_data/1.0.0; for class folders there is"
            " folder:PATH."
        )
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        raise DataError(
            f"TFDS knows no dataset '{name}', and there is none in"
            f" {data_dir or tfds.core.constants.DATA_DIR}."
            f"{nearest(name, known)}"
        ) from None
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"tfds:{name} cannot be made: {reason}") from error


def prepare(builder) -> None:
    """Makes sure that the data are on this machine, or says so in seconds.

    Raises:
        UnavailableError: They are not, and cannot be downloaded.
    """
    if _is_readable(builder):
        return
    config = builder.builder_config
    name = f"{builder.name}/{config.name}" if config else builder.name
    advice = (
        "Prepare it where there is a network, with `tfds build"
        f" {name} --data_dir=DIR`, copy DIR here, and say data_dir=DIR."
    )
    if not _is_online():
        raise UnavailableError(
            f"tfds:{builder.info.full_name} is not on this machine (it would"
            f" lie at {builder.data_path}), and there is no network to"
            f" download it: {_PROBE} cannot be reached. {advice}"
        )
    try:
        builder.download_and_prepare()
    except Exception as error:
        raise UnavailableError(
            f"tfds:{builder.info.full_name} is not on this machine (it would"
            f" lie at {builder.data_path}), and to download it failed:"
            f" {error}. {advice}"
        ) from error


def _is_readable(builder) -> bool:
    # Data that are not prepared have no splits; mocked data have none either,
    # but can be read.
    if builder.is_prepared() or builder.info.splits:
        return True
    try:
        builder.as_dataset(split="train")
    except AssertionError:
        return False
    return True


def _is_online() -> bool:
    """Asks one question; a thread, since looking up a name has no timeout."""
    answers = []

    def ask():
        try:
            urllib.request.urlopen(_PROBE, timeout=_PROBE_SECONDS).close()
            answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)
        except OSError:
            answers.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return any(answers)
