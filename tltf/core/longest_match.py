"""WordPiece's core: words cut into the longest pieces of a vocabulary."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tltf.core.code_points import IntegerMap, keep, pair, previous

SUFFIX = "##"  # Marks the pieces that continue a word.

_MAX_BYTES = 100  # A longer word is unknown, as in tensorflow-text.
_WORD, _REST = 0, 1  # The roots of the trie: a word's start, and its rest.


class LongestMatch:
    """Cuts words into the longest pieces of a vocabulary, all words at once.

    First the longest piece from every letter on is found by walking a trie
    from all letters in step; then each word is followed from piece to piece.
    The steps are at most the longest piece's and the most pieces of a word,
    however many words there are.

    Args:
        vocabulary: the pieces in the order of their ids.
        unknown: the one that stands for a word that cannot be cut.
    """

    def __init__(self, vocabulary: Sequence[str], unknown: str):
        self.unknown = vocabulary.index(unknown)
        edges, tokens = {}, {}
        for token, piece in enumerate(vocabulary):
            node = _WORD
            if piece.startswith(SUFFIX) and piece != SUFFIX:
                node, piece = _REST, piece[len(SUFFIX) :]
            for letter in piece:
                edge = pair(node, ord(letter))
                node = edges.setdefault(edge, len(edges) + 2)
            tokens[node] = token
        self.edges = IntegerMap(edges)
        self.tokens = np.full(len(edges) + 2, -1, np.int32)
        self.tokens[list(tokens)] = list(tokens.values())

    def __call__(self, letters, words, rows):
        """Returns token ids and the texts they belong to, int32 [tokens].

        Args:
            letters: int32 [n], the code points of all words.
            words: int32 [n], ascending, the word each letter belongs to.
            rows: int32 [n], the text each letter belongs to.
        """
        is_first = tf.not_equal(words, previous(words, -1))
        starts = tf.cast(tf.where(is_first)[:, 0], tf.int32)
        words = tf.cumsum(tf.cast(is_first, tf.int32)) - 1
        count = tf.size(starts)
        word_ends = tf.concat([starts[1:], [tf.size(letters)]], 0)[:count]
        too_long = self._bytes(letters, words, count) > _MAX_BYTES
        word_ends = tf.where(too_long, 0, word_ends)
        ends, tokens = self._longest(
            letters, is_first, tf.gather(word_ends, words)
        )
        is_piece, failed = self._follow(starts, word_ends, ends, words)
        failed = tf.gather(failed | too_long, words)
        tokens = tf.where(failed, self.unknown, tokens)
        return keep(tf.where(failed, is_first, is_piece), tokens, rows)

    def _bytes(self, letters, words, count):
        """Returns the bytes that each word takes in UTF-8, int32 [words]."""
        widths = 1 + sum(
            tf.cast(letters >= limit, tf.int32)
            for limit in (0x80, 0x800, 0x10000)
        )
        return tf.math.unsorted_segment_sum(widths, words, count)

    def _longest(self, letters, is_first, word_ends):
        """Finds the longest piece that starts at each letter.

        Args:
            letters: int32 [n], code points.
            is_first: bool [n], whether a letter starts a word.
            word_ends: int32 [n], where a letter's word ends, or 0 to skip it.

        Returns:
            Where the piece ends and its token id, int32 [n] each, or -1.
        """
        nothing = tf.fill([tf.size(letters)], -1)

        def step(length, places, nodes, ends, tokens):
            inside = places + length < tf.gather(word_ends, places)
            places, nodes = keep(inside, places, nodes)
            letter = tf.gather(letters, places + length)
            nodes = self.edges(pair(nodes, letter))
            places, nodes = keep(nodes >= 0, places, nodes)
            found = tf.gather(self.tokens, nodes)
            where, found = keep(found >= 0, places, found)
            ends = _put(ends, where, where + length + 1)
            tokens = _put(tokens, where, found)
            return length + 1, places, nodes, ends, tokens

        state = (
            0,
            tf.range(tf.size(letters)),
            tf.where(is_first, _WORD, _REST),
            nothing,
            nothing,
        )
        shapes = (tf.TensorShape([]), *[tf.TensorShape([None])] * 4)
        return tf.while_loop(
            lambda _, places, *__: tf.size(places) > 0, step, state, shapes
        )[3:]

    def _follow(self, starts, word_ends, ends, words):
        """Walks through all words from piece to piece.

        Args:
            starts: int32 [words], where each word starts.
            word_ends: int32 [words], where it ends, or 0 to skip it.
            ends: int32 [n], where the piece from each letter on ends, or -1.
            words: int32 [n], the word each letter belongs to.

        Returns:
            Whether a piece starts at each letter, bool [n], and whether a word
            could not be cut into pieces, bool [words].
        """

        def step(places, is_piece, failed):
            is_piece = _put(is_piece, places, tf.ones_like(places, tf.bool))
            following = tf.gather(ends, places)
            numbers = tf.gather(words, places)
            stuck = following < 0
            (lost,) = keep(stuck, numbers)
            failed = _put(failed, lost, tf.ones_like(lost, tf.bool))
            more = ~stuck & (following < tf.gather(word_ends, numbers))
            return *keep(more, following), is_piece, failed

        state = (
            *keep(word_ends > 0, starts),
            tf.zeros_like(ends, tf.bool),
            tf.zeros_like(starts, tf.bool),
        )
        shapes = (tf.TensorShape([None]),) * 3
        return tf.while_loop(
            lambda places, *_: tf.size(places) > 0, step, state, shapes
        )[1:]


def _put(values: tf.Tensor, places: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """Returns the values with new ones at the given places."""
    return tf.tensor_scatter_nd_update(values, places[:, tf.newaxis], new)
