"""Says which stage reads which features, and has them computed once."""

import collections
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf
from absl import logging

from tltf.core.augment import Augment
from tltf.core.cache import fingerprint, room
from tltf.core.cache.allot import Room, Wanted
from tltf.core.cache.feed import Feed
from tltf.core.cache.filling import Filling, Views
from tltf.core.cache.forward import Forward, Unrepeatable
from tltf.core.cache.needs import Needs, Slot
from tltf.core.cache.settings import CacheSettings
from tltf.core.cache.shelf import Shelf
from tltf.core.cache.source import FeatureSource
from tltf.core.cache.table import Uneven
from tltf.core.graph import Cut, trace
from tltf.core.model import TransferModel
from tltf.core.splits import Splits
from tltf.core.stage import Stage

# Changes when what is stored under a key changes.
_FORMAT = 1


class FeatureCache:
    """Features of the frozen part of a model, for the stages of a run.

    One pass over a part computes what a stage and all later ones need, as
    long as the layers below their cuts do not train in between.

    Args:
        model: The model that is trained.
        splits: The data.
        stages: All stages of the run.
        settings: Where features may lie.
        strategy: In whose scope we are.
        seed: Of augmented views.
        show: Shows progress over an iterator of so many steps.
    """

    def __init__(
        self,
        model: TransferModel,
        splits: Splits,
        stages: Sequence[Stage],
        settings: CacheSettings,
        strategy: tf.distribute.Strategy,
        seed: int = 0,
        show: Callable[[Iterator, int], Iterator] = lambda steps, _: steps,
    ):
        self._model, self._parts = model, splits.parts
        self._settings, self._seed = settings, seed
        self._show = show
        self._graph = trace(model)
        self._forward = Forward(self._graph, strategy)
        self._needs = Needs(model, self._graph, stages)
        self._shelf = settings.folder and Shelf(settings.folder)
        self._room = Room(settings, self._shelf)
        self._sources: dict[Slot, FeatureSource] = {}
        self._reasons: dict[Slot, str] = {}
        self._keys: set[str] = set()
        self._data: dict[str, str] = {}
        self._computed: dict[Cut, str] = {}

    def feed(self, number: int) -> Feed:
        """Says what a stage reads, and computes it first if need be.

        Args:
            number: Which of the stages; called for each of them in turn.
        """
        if self._settings.place == "none":
            return Feed(reason="the cache is off")
        self._forget(number)
        slots = self._needs.slots(number)
        if any(slot not in self._reasons for slot in slots):
            self._fill(number)
        obstacle = self._needs.obstacle(number)
        train = None if obstacle else self._deepest(slots[0])
        if train is not None:
            held = self._sources.get(Slot("validation", train.cut))
        else:
            held = self._deepest(slots[-1]) if slots else None
        return Feed(train, held, obstacle or self._reasons[slots[0]])

    def tidy(self) -> None:
        """Removes from a folder of the run's own what no longer fits it."""
        if self._keys and self._settings.is_own:
            self._shelf.clear(but=sorted(self._keys))

    def close(self) -> None:
        """Gives memory and disk back, but for what a later run can use."""
        self._sources.clear()
        for key in self._room.unnamed:
            self._shelf.remove(key)

    def _forget(self, number: int) -> None:
        """Drops what the stage before has changed, or nobody will read."""
        for slot in list(self._reasons):
            if not self._needs.outlives(slot, number):
                del self._reasons[slot]
                source = self._sources.pop(slot, None)
                if source is not None:
                    self._room.give_back(source.table)

    def _deepest(self, slot: Slot) -> FeatureSource | None:
        """The features from which the fewest layers lead to a slot's cut."""
        found = {}
        for other, source in self._sources.items():
            if (other.part, other.variant) == (slot.part, slot.variant):
                calls = self._graph.between(other.cut, slot.cut)
                if calls is not None:
                    found[len(calls)] = source
        return found[min(found)] if found else None

    def _fill(self, number: int) -> None:
        """Computes what this stage and later ones will read."""
        # Fingerprints of weights are those of now.
        self._computed.clear()
        reads = self._needs.reads(number)
        epochs = collections.Counter()
        for slot, count in reads.items():
            epochs[slot.part] += count
        once = max(epochs.values(), default=0) <= 1
        if once and self._settings.place == "auto":
            reason = "its one epoch reads every example once"
            self._reasons |= dict.fromkeys(reads, reason)
            return
        passes: dict[tuple, dict[Slot, int]] = {}
        for slot, count in reads.items():
            if slot not in self._reasons:
                of_pass = passes.setdefault((slot.part, slot.variant), {})
                of_pass[slot] = count
        for of_pass in passes.values():
            self._fill_part(of_pass)
        self._forward.forget()

    def _fill_part(self, reads: dict[Slot, int]) -> None:
        started = time.perf_counter()
        first = next(iter(reads))
        wanted = {
            slot: Wanted(slot.cut, self._key(slot), count)
            for slot, count in reads.items()
        }
        filling = self._filling(first, self._settings.dtype)
        for slot, each in wanted.items():
            self._look_up(each)
            if each.table is not None:
                self._sources[slot] = filling.source(each)
        missing = [each for each in wanted.values() if each.table is None]
        if missing:
            self._compute(first, missing, filling)
        for slot, each in wanted.items():
            self._reasons[slot] = each.reason
            if each.table is not None:
                self._sources[slot] = filling.source(each)
        logging.info(
            "Features of %d %s examples, %.1f s: %s.",
            filling.rows,
            first.part,
            time.perf_counter() - started,
            "; ".join(
                f"{_title(each.cut)} {each.reason}" for each in wanted.values()
            ),
        )

    def _filling(self, slot: Slot, dtype: str) -> Filling:
        views = None
        if slot.variant is not None:
            stage = self._needs.stage_of(slot)
            views = Views(Augment.of(stage.augment), stage.views, self._seed)
        return Filling(
            self._graph,
            self._parts[slot.part],
            self._model.preprocess,
            self._forward,
            self._room,
            views,
            dtype,
        )

    def _compute(self, slot, missing: list[Wanted], filling: Filling) -> None:
        start = self._start_of(slot, missing)
        try:
            try:
                filling.run(missing, start, self._show)
            except OverflowError as error:
                logging.warning("%s; stored as float32.", error)
                filling = self._filling(slot, "float32")
                filling.run(missing, start, self._show)
        except (Unrepeatable, Uneven) as error:
            for each in missing:
                each.reason = str(error)
            return
        for each in missing:
            self._keep(each)

    def _start_of(self, slot, missing) -> FeatureSource | None:
        """Features with which to begin, where they lead to all of it."""
        # From halved features they would be rounded twice.
        if slot.variant is not None or self._settings.dtype != "float32":
            return None
        starts = [self._deepest(Slot(slot.part, m.cut)) for m in missing]
        leads = [
            start
            for start in starts
            if start is not None
            and all(
                self._graph.between(start.cut, each.cut) is not None
                for each in missing
            )
        ]
        return leads[0] if leads else None

    def _look_up(self, wanted: Wanted) -> None:
        if wanted.key is None:
            return
        wanted.table = self._shelf.find(wanted.key)
        if wanted.table is not None:
            size = room.to_text(wanted.table.bytes)
            wanted.reason = f"{size} kept from an earlier run"

    def _keep(self, wanted: Wanted) -> None:
        """Puts what is in memory on the shelf too, for a later run."""
        in_memory = wanted.table is not None and wanted.table.where == "memory"
        if wanted.key is None or not in_memory:
            return
        if self._settings.place != "auto":
            return
        try:
            self._room.check_disk(wanted.table.bytes)
            self._shelf.keep(wanted.key, wanted.table)
        except OSError as error:
            logging.warning("Features are not kept for later: %s.", error)
            return
        wanted.reason += f", kept in {self._shelf.path}"

    def _key(self, slot: Slot) -> str | None:
        """What features are made of; None if they are not to be kept."""
        if self._shelf is None or self._settings.place == "memory":
            return None
        part = self._parts[slot.part]
        try:
            made_of = [_FORMAT, self._settings.dtype, self._prints(slot)]
            if slot.variant is not None:
                views = fingerprint.of_views(self._needs.stage_of(slot))
                made_of += [views, self._seed, part.batch_size]
                made_of += [part.targets.tolist()]
        except ValueError as error:
            logging.info("Features are not kept for later: %s.", error)
            return None
        key = fingerprint.of(*made_of)
        self._keys.add(key)
        return key

    def _prints(self, slot: Slot) -> list[str]:
        """Fingerprints of a slot's data, and of what is computed of them."""
        part, cut = self._parts[slot.part], slot.cut
        if slot.part not in self._data:
            self._data[slot.part] = fingerprint.of_data(
                part, self._model.preprocess
            )
        if cut not in self._computed:
            self._computed[cut] = fingerprint.of_calls(
                self._graph.between(None, cut),
                keras.tree.flatten(self._graph.inputs),
                self._graph.at(Cut(cut.made)),
            )
        return [self._data[slot.part], self._computed[cut]]


def _title(cut: Cut) -> str:
    """Names what crosses, by the layers that make it."""
    names = [address.partition("#")[0] for address in cut.made]
    return " + ".join(dict.fromkeys(names))
