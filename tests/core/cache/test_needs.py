"""Which stage reads which features, worked out by hand."""

import keras
import pytest

from tests.core.cache.counting import counted_model
from tltf.core.backbone import Backbone, blocks_by_start
from tltf.core.cache.needs import Needs, Slot
from tltf.core.graph import Cut, trace
from tltf.core.model import TransferModel
from tltf.core.stage import Stage

# What crosses below the head, the upper block, both blocks.
HEAD = Cut(("head_average_pool#0:0",))
UPPER = Cut(("a_relu#0:0",))
LOWER = Cut(("stem_conv#0:0",))


def needs_of(*stages):
    model = counted_model()
    return Needs(model, trace(model), stages)


def both(cut, variant=None):
    return [Slot("train", cut, variant), Slot("validation", cut)]


def test_each_stage_reads_at_its_deepest_cut():
    needs = needs_of(Stage(0), Stage(1), Stage(2))
    slots = [needs.slots(number) for number in range(3)]
    assert slots == [both(HEAD), both(UPPER), both(LOWER)]


def test_features_are_counted_over_all_stages_that_read_them():
    needs = needs_of(Stage(0, 2), Stage(1, 3), Stage(0, 4))
    reads = needs.reads(0)
    # The third stage's features are not those of now: the second trains.
    assert reads == dict.fromkeys(both(HEAD), 2) | dict.fromkeys(both(UPPER), 3)
    assert needs.reads(2) == dict.fromkeys(both(HEAD), 4)


def test_stages_that_train_the_head_alone_share_features():
    needs = needs_of(Stage(0, 2), Stage(0, 5))
    assert needs.reads(0) == dict.fromkeys(both(HEAD), 7)
    assert needs.outlives(both(HEAD)[0], 1)


def test_features_outlive_what_does_not_train_below_them():
    needs = needs_of(Stage(0), Stage(1), Stage(0))
    head, upper = both(HEAD)[0], both(UPPER)[0]
    # Nobody reads them in the second stage, and the third needs new ones.
    assert not needs.outlives(head, 1)
    # From these the third stage's can be computed.
    assert needs.outlives(upper, 1)
    assert needs.outlives(upper, 2)


def test_features_do_not_outlive_training_below_them():
    needs = needs_of(Stage(1), Stage(0))
    assert not needs.outlives(both(HEAD)[0], 1)
    needs = needs_of(Stage(2), Stage(1), Stage(0))
    assert needs.outlives(both(LOWER)[0], 1)
    assert not needs.outlives(both(UPPER)[0], 1)


def test_augmentation_without_views_leaves_validation_alone():
    needs = needs_of(Stage(0, 3, augment="light"))
    assert needs.slots(0) == [both(HEAD)[1]]
    assert needs.reads(0) == {both(HEAD)[1]: 3}
    assert "fresh in every epoch" in needs.obstacle(0)
    assert "views=4" in needs.obstacle(0)


def test_equal_views_are_shared_and_others_are_not():
    def stage(views, layer="light"):
        return Stage(0, 2, augment=layer, views=views)

    needs = needs_of(stage(2), stage(2), stage(3), stage(2, "strong"))
    slots = [needs.slots(number)[0] for number in range(4)]
    assert slots[0] == slots[1]
    assert len(set(slots)) == 3
    assert {slot.cut for slot in slots} == {HEAD}
    assert needs.reads(0)[slots[0]] == 4
    assert needs.stage_of(slots[2]).views == 3
    # Validation is the same for all.
    assert {needs.slots(number)[1] for number in range(4)} == {both(HEAD)[1]}


def test_views_of_layers_of_your_own_are_told_apart_by_their_settings():
    def stage(factor):
        flip = keras.layers.RandomTranslation(factor, factor)
        return Stage(0, 2, augment=[flip], views=2)

    needs = needs_of(stage(0.1), stage(0.1), stage(0.2))
    slots = [needs.slots(number)[0] for number in range(3)]
    assert slots[0] == slots[1] != slots[2]


def test_nothing_is_read_where_no_weights_lie_below():
    """Scaling of pixels takes less time than reading floats."""
    needs = needs_of(Stage("all", 3))
    assert needs.slots(0) == []
    assert needs.reads(0) == {}
    assert "nothing that is frozen" in needs.obstacle(0)


def test_views_need_all_inputs_below_the_cut():
    """What passes by the frozen part would not be augmented."""
    image = keras.Input((4,), name="image")
    x = keras.layers.Dense(4, name="stem_dense")(image)
    x = keras.layers.Add(name="top_add")(
        [keras.layers.Dense(4, name="top_dense")(x), image]
    )
    network = keras.Model(image, x)
    blocks = blocks_by_start(network, {"top": "top_"})
    model = TransferModel(Backbone(network, blocks, "test:vector"), 3)
    stage = Stage(1, 2, augment=keras.layers.GaussianNoise(1.0), views=2)
    needs = Needs(model, trace(model), [stage])
    assert "raw inputs pass by" in needs.obstacle(0)
    assert [slot.part for slot in needs.slots(0)] == ["validation"]


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
def test_a_solver_reads_them_more_than_once(solver):
    """However few epochs: it would not be worth it for a single one."""
    needs = needs_of(Stage(0, 1, solver=solver))
    assert needs.reads(0)[both(HEAD)[0]] > 1
