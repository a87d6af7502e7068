"""What is frozen is computed once, and again only where it must be."""

import pytest

from tests.core.cache.counting import (
    HEAD,
    TESTED,
    counted_model,
    fed,
    one_pass,
    rows_of,
    tables,
)
from tltf.core.fit import fit
from tltf.core.recipes import gradual_unfreezing, lp_ft
from tltf.core.stage import Stage


@pytest.mark.parametrize(
    "recipe",
    [
        Stage(0, 10),
        lp_ft(3, 2, unfreeze=1),
        gradual_unfreezing(1),
        # Rows of one epoch are read in the next stage too.
        (Stage(0, 1), Stage(0, 1)),
    ],
    ids=["head", "lp_ft", "gradual_unfreezing", "epochs of one"],
)
def test_frozen_layers_see_every_example_once(splits, recipe):
    model = counted_model()
    rows = rows_of(lambda: fit(model, splits, recipe))
    assert rows == one_pass(splits)


def test_without_a_cache_they_see_it_in_every_epoch(splits):
    model = counted_model()
    rows = rows_of(lambda: fit(model, splits, HEAD, cache="none"))
    assert rows == 3 * (len(splits.train) + len(splits.validation))


def test_what_is_read_once_is_not_kept(splits):
    """The one epoch of a run costs no room."""
    model = counted_model()
    run = None

    def train():
        nonlocal run
        run = fit(model, splits, Stage(0, 1))

    rows = rows_of(train)
    assert rows == len(splits.train) + len(splits.validation)
    assert not run.stages[0].cached
    assert "reads every example once" in run.stages[0].notes[0]


def test_a_stage_that_freezes_again_computes_from_what_is_kept(splits):
    """The upper block is new; what lies below it is not run again."""
    recipe = (Stage(1, 2), Stage(0, 2))
    rows = rows_of(lambda: fit(counted_model(), splits, recipe))
    assert rows == one_pass(splits)


def test_the_run_folder_keeps_them(splits, tmp_path):
    fit(counted_model(), splits, HEAD, model_dir=tmp_path)
    assert list((tmp_path / "cache").glob("*/manifest.json"))
    again = rows_of(
        lambda: fit(counted_model(), splits, HEAD, model_dir=tmp_path)
    )
    assert again == 0


def test_where_only_validation_is_read_often_it_is_cached(splits):
    """Augmentation leaves it as it is."""
    stage = Stage(0, 3, augment="light")
    rows = rows_of(lambda: fit(counted_model(), splits, stage))
    assert rows == 3 * len(splits.train) + len(splits.validation) + TESTED


def test_a_runs_own_folder_keeps_what_the_run_used_and_nothing_else(
    splits, tmp_path
):
    mine = tmp_path / "cache" / "notes.txt"
    fit(counted_model(), splits, HEAD, model_dir=tmp_path)
    first = tables(tmp_path / "cache")
    mine.write_text("mine")
    fit(counted_model(seed=1), splits, HEAD, model_dir=tmp_path)
    second = tables(tmp_path / "cache")
    assert len(first) == len(second) == 2 and not first & second
    assert mine.read_text() == "mine"


def test_a_run_without_a_cache_leaves_what_others_kept(splits, tmp_path):
    fit(counted_model(), splits, HEAD, model_dir=tmp_path)
    first = tables(tmp_path / "cache")
    for cache in ("none", "memory"):
        fit(counted_model(), splits, Stage(0), model_dir=tmp_path, cache=cache)
    assert tables(tmp_path / "cache") == first


def test_a_shared_folder_is_never_cleared(splits, tmp_path):
    for seed in (0, 1):
        fed(counted_model(seed), splits, HEAD, folder=tmp_path)
    assert len(tables(tmp_path)) == 4
