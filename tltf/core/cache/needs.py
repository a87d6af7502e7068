"""Which features the stages of a run read, and how long they stay true."""

import dataclasses
from collections.abc import Iterator, Sequence

from tltf.core.augment import Augment
from tltf.core.cache import fingerprint
from tltf.core.graph import Cut, Graph
from tltf.core.model import TransferModel
from tltf.core.objective import cut_of
from tltf.core.stage import Stage


@dataclasses.dataclass(frozen=True)
class Slot:
    """Which features.

    Args:
        part: `"train"` or `"validation"`.
        cut: What crosses.
        variant: Of augmented views, a text that tells one kind from another;
            None for the examples as they are.
    """

    part: str
    cut: Cut
    variant: str | None = None


class Needs:
    """What the stages of a run read.

    Args:
        model: The model that is trained.
        graph: Its graph.
        stages: All stages of the run.
    """

    def __init__(
        self, model: TransferModel, graph: Graph, stages: Sequence[Stage]
    ):
        self._model, self._graph, self._stages = model, graph, stages
        self.cuts = [cut_of(model, stage)[1] for stage in stages]

    def slots(self, number: int) -> list[Slot]:
        """What a stage reads: training features, if it may, then held ones."""
        cut, stage = self.cuts[number], self._stages[number]
        if not self._weighted(cut):
            return []
        held = Slot("validation", cut)
        if self.obstacle(number):
            return [held]
        return [Slot("train", cut, _variant(stage)), held]

    def obstacle(self, number: int) -> str:
        """Says why a stage cannot train on features, if it cannot."""
        stage = self._stages[number]
        if not self._weighted(self.cuts[number]):
            return "nothing that is frozen lies below what trains"
        if Augment.of(stage.augment) is None:
            return ""
        if not stage.views:
            return (
                "its augmentation is fresh in every epoch, so that what is"
                " frozen sees other inputs each time; views=4 would compute"
                " four augmented views of each example once"
            )
        if self.cuts[number].raw:
            return "raw inputs pass by what is frozen, which views would miss"
        return ""

    def reads(self, number: int) -> dict[Slot, int]:
        """Counts the epochs for which features computed now will be read.

        Args:
            number: The stage that is about to begin.

        Returns:
            Epochs by slot, over this stage and the later ones whose frozen
            part stays as it is now until they begin.
        """
        found: dict[Slot, int] = {}
        for later in self._later(number):
            for slot in self.slots(later):
                found[slot] = found.get(slot, 0) + self._passes(later)
        return found

    def stage_of(self, slot: Slot) -> Stage:
        """The first stage that reads a slot."""
        numbers = range(len(self._stages))
        return next(self._stages[i] for i in numbers if slot in self.slots(i))

    def outlives(self, slot: Slot, number: int) -> bool:
        """Whether features are true and of use when a stage begins.

        Args:
            slot: Features that were true when the stage before began.
            number: The stage.
        """
        if number and self._weighted(slot.cut) & self._trained_by(number - 1):
            return False
        return any(
            self._graph.between(slot.cut, self.cuts[later]) is not None
            for later in self._later(number)
        )

    def _passes(self, number: int) -> int:
        """How often a stage goes over its data."""
        stage = self._stages[number]
        # To solve a head, and to say how well it does.
        return stage.epochs if stage.solver == "steps" else 2

    def _later(self, number: int) -> Iterator[int]:
        """The stages from here on whose frozen part is as it is now."""
        trained = set()
        for later in range(number, len(self._stages)):
            if not self._weighted(self.cuts[later]) & trained:
                yield later
            trained |= self._trained_by(later)

    def _trained_by(self, number: int) -> set[str]:
        blocks = self._model.unfrozen(self._stages[number].unfreeze)
        return {name for block in blocks for name in block.layers}

    def _weighted(self, cut: Cut) -> set[str]:
        """The layers below a cut that have weights."""
        calls = self._graph.between(None, cut)
        return {c.name for c in calls if getattr(c.layer, "variables", ())}


def _variant(stage: Stage) -> str | None:
    """What tells a stage's augmented views from another's."""
    if Augment.of(stage.augment) is None:
        return None
    try:
        return fingerprint.of_views(stage)
    except ValueError:
        return f"{stage.views} views of {id(stage)}"
