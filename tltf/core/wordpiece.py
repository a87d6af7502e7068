"""BERT's tokenisation, from text to the tensors BERT reads.

KerasHub's tokenizers put custom ops of tensorflow-text into the graph, which a
process that has TensorFlow alone cannot load. This one gives the same numbers
from core TensorFlow ops, so that one function serves training and serving.
"""

import collections
import dataclasses
import functools

import tensorflow as tf

from tltf.core.code_points import owners_of
from tltf.core.longest_match import SUFFIX, LongestMatch
from tltf.core.unicode_folding import unicode_folding

# Stands for broken UTF-8: a noncharacter, which no vocabulary holds.
_BROKEN = 0x10FFFF


@dataclasses.dataclass(frozen=True)
class SpecialTokens:
    """The entries of the vocabulary that do not come from the text."""

    unknown: str = "[UNK]"
    start: str = "[CLS]"
    end: str = "[SEP]"
    pad: str = "[PAD]"


@dataclasses.dataclass(frozen=True)
class WordPiece:
    """Turns texts into BERT's token ids, segment ids and padding mask.

    Equal, token by token, to KerasHub's `BertTokenizer` inside its
    `BertTextClassifierPreprocessor` as they run in `tf.data`: texts are cut
    into words at spaces, control characters, punctuation and Chinese
    characters; words are folded; each word is cut greedily into the longest
    pieces of the vocabulary (Schuster and Nakajima, 2012), and is one unknown
    token if that fails or if it takes more than 100 bytes. Special tokens
    written in a text, such as "[SEP]", are plain text. A word with broken
    UTF-8 in it is unknown. One difference: a zero byte separates words, as
    other control characters do; in `tf.data`, KerasHub loses all text behind
    it, because tensorflow-text takes it for the end of the string.

    All state is NumPy arrays that become constants of the graph: there is no
    table to track or initialise. Two objects are equal if their settings are.

    ```python
    preprocess = WordPiece(vocabulary, sequence_length=64)
    dataset = dataset.batch(32).map(lambda x, y: (preprocess(x), y))
    ```

    Args:
        vocabulary: the tokens in the order of their ids, without repeats;
            those that continue a word start with "##".
        sequence_length: the length L that texts are cut and padded to, the
            two special tokens included. At least 2.
        lowercase: whether words are case-folded (Unicode's NFKC_Casefold).
        strip_accents: whether accents are removed; by default if, and only
            if, `lowercase` is, as in the original BERT. KerasHub's own
            default is False; `from_keras_hub` takes what is set there.
        special_tokens: the names of the special tokens in the vocabulary.

    Raises:
        ValueError: if the vocabulary has repeats or lacks a special token, or
            if `sequence_length` is below 2.
    """

    vocabulary: tuple[str, ...] = dataclasses.field(repr=False)
    _: dataclasses.KW_ONLY
    sequence_length: int = 128
    lowercase: bool = True
    strip_accents: bool | None = None
    special_tokens: SpecialTokens = SpecialTokens()

    def __post_init__(self):
        _check_vocabulary(self.vocabulary, self.special_tokens)
        if self.sequence_length < 2:
            raise ValueError(
                "`sequence_length` must be at least 2, the room that the "
                f"special tokens take. Received: {self.sequence_length}"
            )
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        if self.strip_accents is None:
            object.__setattr__(self, "strip_accents", self.lowercase)

    def __call__(self, texts) -> dict[str, tf.Tensor]:
        """Returns what a BERT classifier of KerasHub takes.

        Args:
            texts: strings in UTF-8, [batch].

        Returns:
            "token_ids" and "segment_ids" (all 0), int32 [batch, L], and
            "padding_mask", bool [batch, L], True where there is a token.
        """
        length = self.sequence_length
        tokens = self.tokenize(texts)[:, : length - 2]
        ends = tf.ones([tokens.nrows(), 1], tf.int32)
        start, end, pad = (
            self._id(getattr(self.special_tokens, name))
            for name in ("start", "end", "pad")
        )
        packed = tf.concat([start * ends, tokens, end * ends], axis=1)
        token_ids = packed.to_tensor(pad, shape=[None, length])
        return {
            "token_ids": token_ids,
            "segment_ids": tf.zeros_like(token_ids),
            "padding_mask": tf.not_equal(token_ids, pad),
        }

    def tokenize(self, texts) -> tf.RaggedTensor:
        """Returns the ids, int32 [batch, (tokens)], without special tokens."""
        texts = tf.convert_to_tensor(texts, tf.string)
        if texts.shape.rank != 1:
            raise ValueError(
                "`texts` must be a batch of strings of shape [batch]. "
                f"Received: shape {texts.shape}"
            )
        return self._graph(texts)

    def get_config(self) -> dict:
        """Returns the settings as plain data that JSON can hold."""
        return {
            "vocabulary": list(self.vocabulary),
            "sequence_length": self.sequence_length,
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
            "special_tokens": dataclasses.asdict(self.special_tokens),
        }

    @classmethod
    def from_config(cls, config: dict) -> "WordPiece":
        """Returns the object that `get_config` described."""
        special_tokens = SpecialTokens(**config["special_tokens"])
        return cls(**{**config, "special_tokens": special_tokens})

    @classmethod
    def from_keras_hub(
        cls, tokenizer, sequence_length: int = 128
    ) -> "WordPiece":
        """Returns the equal of a KerasHub WordPiece tokenizer.

        Args:
            tokenizer: a `keras_hub` tokenizer for BERT, DistilBERT or
                ELECTRA, with its vocabulary set.
            sequence_length: the length L that texts are cut and padded to.

        Raises:
            ValueError: if the tokenizer has a setting that is unknown here.
        """
        expected = {
            "split": True,
            "split_on_cjk": True,
            "suffix_indicator": SUFFIX,
            "special_tokens_in_strings": False,
            "sequence_length": None,
        }
        for name, value in expected.items():
            received = getattr(tokenizer, name)
            if received != value:
                raise ValueError(
                    f"`tokenizer` must have been made with `{name}={value!r}`."
                    f" Received: {received!r}"
                )
        return cls(
            tokenizer.get_vocabulary(),
            sequence_length=sequence_length,
            lowercase=bool(tokenizer.lowercase),
            strip_accents=bool(tokenizer.strip_accents),
            special_tokens=SpecialTokens(
                unknown=tokenizer.oov_token,
                start=tokenizer.start_token,
                end=tokenizer.end_token,
                pad=tokenizer.pad_token,
            ),
        )

    def __reduce__(self):
        # Copied and pickled by its settings: a traced graph cannot be.
        return type(self).from_config, (self.get_config(),)

    def _id(self, token: str) -> int:
        return self.vocabulary.index(token)

    @functools.cached_property
    def _graph(self):
        """The tokenisation as one graph, inlined where it is called in one."""
        fold = unicode_folding(
            lowercase=self.lowercase, strip_accents=self.strip_accents
        )
        match = LongestMatch(self.vocabulary, self.special_tokens.unknown)

        def tokenize(texts):
            with tf.device("cpu:0"):  # Hundreds of tiny ops on integers.
                decoded = tf.strings.unicode_decode(
                    texts, "UTF-8", replacement_char=_BROKEN
                )
                rows = owners_of(decoded.row_splits, decoded.flat_values)
                letters = fold(decoded.flat_values, rows)
                tokens, rows = match(*letters)
                return tf.RaggedTensor.from_value_rowids(
                    tokens, tf.cast(rows, tf.int64), tf.size(texts, tf.int64)
                )

        signature = [tf.TensorSpec([None], tf.string)]
        return tf.function(tokenize, signature, autograph=False)


def _check_vocabulary(vocabulary, special_tokens: SpecialTokens) -> None:
    if isinstance(vocabulary, str):
        raise TypeError(
            "`vocabulary` must be a sequence of tokens, not one string (read "
            f"a file's lines first). Received: {vocabulary[:80]!r}"
        )
    counts = collections.Counter(vocabulary)
    repeated = [token for token, count in counts.items() if count > 1]
    if repeated:
        raise ValueError(
            f"`vocabulary` must hold each token once. Repeated: {repeated[:5]}"
        )
    for name, token in dataclasses.asdict(special_tokens).items():
        if token not in counts:
            raise ValueError(
                f"`vocabulary` must hold the special token for {name!r}, "
                f"{token!r}. Name another in `special_tokens` if it is "
                "called otherwise."
            )
