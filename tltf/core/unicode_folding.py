"""Splits text into words and folds their letters, code point by code point.

What BERT does to text before it looks for word pieces (Unicode's normal forms,
case folding, accent stripping, cuts at spaces, punctuation and Chinese
characters) is written here as tables over code points and a few integer
operations of core TensorFlow, so that a served model needs no custom ops.
"""

import functools
import itertools
import re
import unicodedata

import numpy as np
import tensorflow as tf

from tltf.core.code_points import (
    CODE_POINTS,
    CodePointTable,
    IntegerMap,
    keep,
    owners_of,
    pair,
    previous,
)

# How a character takes part in words. A character that folds to several, such
# as "‥" to "..", stands alone with the first and continues with the rest.
_JOINS, _BREAKS, _STANDS_ALONE, _CONTINUES = range(4)

# The regular expressions BERT's texts are cut with. They are asked of
# TensorFlow's own engine, so no other version of Unicode can creep in.
_SPACE = r"\s|\p{Cc}|\p{Cf}"  # `\s` is ASCII only: a no-break space is kept.
_PUNCTUATION = r"[!-/]|[:-@]|[\[-`]|[{-~]|\p{P}"
_CHINESE = (
    r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}"
    r"\x{2A700}-\x{2B73F}\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}"
    r"\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]"
)
_ACCENT = r"\p{Mn}"

# The planes that hold letters, and the tags; in the rest nothing ever folds.
_FOLDABLE = (range(0x40000), range(0xE0000, 0xE1000))
# Unicode's Default_Ignorable_Code_Point, which case folding drops.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINABLE = 256  # Added to the combining class of what may be joined on.


class UnicodeFolding:
    """Cuts texts into words and folds the words, as KerasHub does for BERT.

    With `strip_accents`, text is decomposed (normal form D) and loses its
    nonspacing marks before it is cut. With `lowercase`, each word is replaced
    by Unicode's NFKC_Casefold: every code point is mapped, the marks are put
    in canonical order, and what can be composed is composed.

    The one known difference needs `strip_accents` without `lowercase`, and a
    text in which a mark of combining class 0 that is stripped stands between
    two spacing marks of other classes: here these are sorted regardless.

    Args:
        lowercase: whether words are case-folded.
        strip_accents: whether accents are removed.
    """

    def __init__(self, *, lowercase: bool, strip_accents: bool):
        self.changes = lowercase or strip_accents
        self.composes = lowercase
        classes = _classes()
        rows = [((-1, kind),) for kind in (_JOINS, _BREAKS, _STANDS_ALONE)]
        numbers = {row: number for number, row in enumerate(rows)}
        which = classes.copy()
        accents = _matching(_ACCENT) if strip_accents else None
        for code_point in itertools.chain(*_FOLDABLE) if self.changes else ():
            row = _expand(code_point, classes, lowercase, accents)
            if row != ((code_point, classes[code_point]),):
                which[code_point] = numbers.setdefault(row, len(numbers))
        self.which = CodePointTable(which)
        flat = [part for row in numbers for part in row]
        self.values, self.kinds = np.array(flat, np.int32).T
        self.splits = np.cumsum([0, *map(len, numbers)], dtype=np.int32)
        self.marks, self.compositions = _compositions()

    def __call__(self, code_points: tf.Tensor, rows: tf.Tensor):
        """Returns the folded letters of all words, one after another.

        Args:
            code_points: int32 [n], all texts end to end.
            rows: int32 [n], ascending, the text each code point belongs to.

        Returns:
            `code_points`, `words` and `rows`, int32 [m] each: the letters, a
            number that ascends with each word (numbers may be left out), and
            the text each letter belongs to. What separates words is gone.
        """
        code_points, kinds, rows = self._map(code_points, rows)
        after_join = tf.equal(previous(kinds, _BREAKS), _JOINS)
        starts = (
            tf.not_equal(rows, previous(rows, -1))
            | tf.equal(kinds, _STANDS_ALONE)
            | (tf.equal(kinds, _JOINS) & ~after_join)
        )
        words = tf.cumsum(tf.cast(starts, tf.int32))
        letters = tf.not_equal(kinds, _BREAKS)
        state = keep(letters, code_points, words, rows)
        if self.changes:
            state = (self._order(*state[:2]), *state[1:])
        return self._compose(*state) if self.composes else state

    def _map(self, code_points, rows):
        """Replaces each code point by its row of the folding table."""
        which = self.which(code_points)
        spans = tf.ragged.range(
            tf.gather(self.splits, which), tf.gather(self.splits, which + 1)
        )
        owners = owners_of(spans.row_splits, spans.flat_values)
        values = tf.gather(self.values, spans.flat_values)
        itself = tf.gather(code_points, owners)
        return (
            tf.where(values < 0, itself, values),
            tf.gather(self.kinds, spans.flat_values),
            tf.gather(rows, owners),
        )

    def _order(self, code_points, words):
        """Sorts the marks behind each letter by their combining class."""
        ranks = self.marks(code_points) % _JOINABLE
        new_word = tf.not_equal(words, previous(words, 0))
        wrong = (ranks > 0) & (previous(ranks, 0) > ranks) & ~new_word

        def order():
            group = tf.cumsum(tf.cast(new_word | (ranks == 0), tf.int64))
            key = group * _JOINABLE + tf.cast(ranks, tf.int64)
            return tf.gather(code_points, tf.argsort(key, stable=True))

        return tf.cond(tf.reduce_any(wrong), order, lambda: code_points)

    def _compose(self, code_points, words, rows):
        """Joins letters and marks (normal form C), a pair at a time."""
        joinable = self.marks(code_points) >= _JOINABLE
        state = (tf.reduce_any(joinable), code_points, words, rows)
        shapes = (tf.TensorShape([]), *[tf.TensorShape([None])] * 3)
        return tf.while_loop(
            lambda more, *_: more,
            lambda _, *state: self._compose_once(*state),
            state,
            shapes,
        )[1:]

    def _compose_once(self, code_points, words, rows):
        """Joins the first open mark of each starter to it, where it can."""
        marks = self.marks(code_points)
        ranks = marks % _JOINABLE
        is_starter = tf.equal(ranks, 0)
        starters = tf.where(is_starter)[:, 0]
        before = tf.cumsum(tf.cast(is_starter, tf.int32), exclusive=True)
        second = tf.where((marks >= _JOINABLE) & (before > 0))[:, 0]
        first = tf.gather(starters, tf.gather(before, second) - 1)

        # A mark is cut off from its starter by a mark of its own class or a
        # higher one in between, or by the end of the word.
        adjacent = tf.equal(first, second - 1)
        rising = tf.gather(ranks, second - 1) < tf.gather(ranks, second)
        same_word = tf.equal(tf.gather(words, first), tf.gather(words, second))
        pairs = pair(
            tf.gather(code_points, first), tf.gather(code_points, second)
        )
        composites = self.compositions(pairs)
        joined = (adjacent | rising) & same_word & (composites >= 0)
        first, second, composites = keep(joined, first, second, composites)

        # One pair a starter; a starter that is itself joined waits its turn.
        once = tf.not_equal(first, previous(first, -1))
        once &= tf.not_equal(first, previous(second, -1))
        first, second, composites = keep(once, first, second, composites)
        code_points = tf.tensor_scatter_nd_update(
            code_points, first[:, tf.newaxis], composites
        )
        kept = tf.tensor_scatter_nd_update(
            tf.ones_like(words, tf.bool),
            second[:, tf.newaxis],
            tf.zeros_like(second, tf.bool),
        )
        state = keep(kept, code_points, words, rows)
        return (tf.size(second) > 0, *state)


@functools.lru_cache(maxsize=4)
def unicode_folding(*, lowercase: bool, strip_accents: bool) -> UnicodeFolding:
    """Returns the one folding of its kind; building one takes a second."""
    return UnicodeFolding(lowercase=lowercase, strip_accents=strip_accents)


def _expand(code_point: int, classes, lowercase: bool, accents) -> tuple:
    """Returns what one code point becomes, as (code point, kind) pairs."""
    chars = chr(code_point)
    if accents is not None:
        chars = unicodedata.normalize("NFD", chars)
        chars = [char for char in chars if not accents[ord(char)]]
    row = []
    for char in chars:
        kind = int(classes[ord(char)])
        folded = _casefold(char) if lowercase and kind != _BREAKS else char
        for place, part in enumerate(folded):
            continues = place and kind == _STANDS_ALONE
            row.append((ord(part), _CONTINUES if continues else kind))
    return tuple(row)


def _casefold(char: str) -> str:
    """Returns one character's NFKC_Casefold mapping, decomposed."""
    folded = unicodedata.normalize("NFKC", char).casefold()
    folded = unicodedata.normalize("NFKD", folded)
    return _IGNORABLE.sub("", folded)


def _classes() -> np.ndarray:
    """Returns how each code point takes part in words, int32 [1114112]."""
    classes = np.full(CODE_POINTS, _JOINS, np.int32)
    classes[_matching(_SPACE)] = _BREAKS
    classes[_matching(f"{_PUNCTUATION}|{_CHINESE}")] = _STANDS_ALONE
    return classes


@functools.lru_cache(maxsize=4)
def _matching(pattern: str) -> np.ndarray:
    """Returns which code points TensorFlow's regexes match, bool [1114112]."""
    with tf.init_scope(), tf.device("cpu:0"):
        chars = tf.strings.unicode_encode(
            tf.range(CODE_POINTS)[:, tf.newaxis], "UTF-8"
        )
        return tf.strings.regex_full_match(chars, pattern).numpy()


@functools.lru_cache(maxsize=1)
def _compositions() -> tuple[CodePointTable, IntegerMap]:
    """Returns the combining classes and the pairs that normal form C joins."""
    marks = np.zeros(CODE_POINTS, np.int32)
    pairs = {}
    for code_point in _FOLDABLE[0]:
        char = chr(code_point)
        marks[code_point] += unicodedata.combining(char)
        parts = unicodedata.normalize("NFD", char)
        if len(parts) == 1 or unicodedata.normalize("NFC", char) != char:
            continue
        head = unicodedata.normalize("NFC", parts[:-1])
        pairs[pair(ord(head), ord(parts[-1]))] = code_point
    seconds = np.unique(np.array(list(pairs)) % pair(1, 0))
    marks[seconds] += _JOINABLE
    return CodePointTable(marks), IntegerMap(pairs)
