import pytest

from tests.core.cache.counting import counted_model
from tltf.core.cache import room
from tltf.core.cache.settings import CacheSettings
from tltf.core.fit import fit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cache": "disc"}, "`cache` must be one of .*Did you mean 'disk'"),
        ({"cache": None}, "`cache` must be one of"),
        ({"cache_dtype": "float"}, "`cache_dtype` must be .*'float32'"),
        ({"cache_memory": "much"}, "`cache_memory` must be .*'much'"),
        ({"cache": "disk"}, "give `model_dir` or `cache_dir`"),
    ],
    ids=str,
)
def test_wrong_settings_are_explained_before_training(
    splits, arguments, message
):
    with pytest.raises(ValueError, match=message):
        fit(counted_model(), splits, **arguments)


def test_a_quarter_of_what_is_free_is_taken(monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda: 4_000)
    assert CacheSettings().budget() == 1_000
    assert CacheSettings(memory="2KB").budget() == 2_048
    assert CacheSettings(memory=0).budget() == 0
