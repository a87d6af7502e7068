"""WordPiece gives KerasHub's numbers, and needs nothing but TensorFlow.

The reference is KerasHub's `BertTextClassifierPreprocessor` as it runs in
`tf.data`, over tensorflow-text. (Called eagerly, KerasHub 0.32 takes another
path, written in Python, which differs from it in rare cases.)

Compared are code points that both Python's `unicodedata`, which our folding
tables are made from, and TensorFlow's regular expressions know; on newer ones
the libraries differ among themselves.
"""

import copy
import json
import random
import subprocess
import sys
import unicodedata

import keras
import numpy as np
import pytest
import tensorflow as tf

from tltf.core.wordpiece import SpecialTokens, WordPiece

keras_hub = pytest.importorskip("keras_hub")
pytest.importorskip("tensorflow_text")

LENGTH = 96
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MODES = [(True, True), (True, False), (False, True), (False, False)]

TEXTS = [
    "",
    " ",
    "The quick brown fox jumped over the lazy dog.",
    "It's 9:30 a.m. -- isn't it?! (e-mail: me@example.com, $5.00 + 7%)",
    "unaffable UNAFFABLE Unaffable un-aff-able un_aff_able",
    "All of !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ and a few ¡¿§¶«»‹›„“”‘’–—…‥‰",
    "‽⁉‼※‘single’ “double” 「日本」『語』【括弧】〜・。、 ؟ ؛ ، ۔ । ॥ ׃ ־ ៖ ።",
    "[CLS] text [SEP] with [MASK] and [PAD] and [UNK] [cls] ##ing # ## a##b",
    "Crème brûlée, naïve façade, Ångström, Łódź, Dvořák, Škoda, smörgåsbord",
    "Cre\u0300me bru\u0302le\u0301e a\u0323\u0302 a\u0302\u0323 \u0301lone",
    "q\u0307\u0323 o\u031b\u0323 \u1e69 s\u0307\u0323 \u0344 \u212b",
    "\u1e9b\u0323",
    "Straße STRASSE GROẞ ß İstanbul ISTANBUL ıstanbul i\u0307 I\u0307 ŉ ǅ ǰ",
    "Ελληνικά ΌΔΥΣΣΕΎΣ Ὀδυσσεύς ᾳ ᾼ ᾂ ΐ ΰ ς Σ ͅ α\u0345\u0301 Ω K Å µ",
    "Русский язык, ЁЛКА ёлка, Їжак, й и\u0306, Қазақ, Ӂ",
    "العربية مَرْحَبًا بِالعَالَمِ لا ﻻ ﷺ ﷽ ٱ أ ا\u0654 ۀ ١٢٣",
    "עברית שָׁלוֹם עֲלֵיכֶם שׁ ש\u05c1 ﬡ אַ",
    "हिन्दी नमस्ते क़ क\u093c क्षत्रिय বাংলা কো ক\u09c7\u09be",
    "தமிழ் கொ ක\u0dd9\u0dcf\u0dca",
    "ภาษาไทย กำ น้ำ ລາວ ກຳ မြန်မာ ខ្មែរ བོད་ཡིག གྷ",
    "中文分词：我愛北京天安門。中文abc混合English文字 豈更車 丽 𠀀𪜀 㐀 鿿",
    "日本語のテキスト カタカナ ｶﾞｷﾞ が か\u3099 パ ㌔ ㍿ ㋿ ー 々 〇",
    "한국어 텍스트 각 ᄀ\u1161\u11a8 가\u11a8 ㄱ ㅏ ﾡ 힣 ㈀ ㉠ \u115f \u3164",
    "😀 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 ☺️ ☺︎ 1️⃣ a\ufe0fb",
    "tab\tnew\nline\r\nfeed\x0cvertical\x0bbell\x07del\x7f\x85\x9f end",
    "nbsp\u00a0en\u2002em\u2003thin\u2009ogham\u1680narrow\u202fwide\u3000line"
    "\u2028paragraph\u2029zero\u200bwidth\u200cjoin\u200der\u2060soft\u00adbom"
    "\ufeffmark \u200e\u202eleft\u061c \u180e",
    "ﬁﬂﬀﬃ ﬅ ĳ Ǆ ½ ¼ x² H₂O ① ⑳ ㈠ № ℡ ™ ℃ Ⅷ ⅷ ﹟ ﹪ ˉ ¨ ´ ¸ ⩴ ≠ =\u0338",
    "ＦＵＬＬ　ｗｉｄｔｈ １２３！？（）＃＃ｉｎｇ ￥ ｱｲｳ",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝐁𝐨𝐥𝐝 𝟙𝟚𝟛 𐐀𐐨 𞤀𞤢 Ꭰꭰ ᏸ Ა ა ⴀ Ⴀ",
    "a" * 99 + " " + "a" * 100 + " " + "a" * 101 + " " + "ab" * 150 + " end",
    "é" * 50 + " " + "é" * 51 + " " + "ß" * 50 + " " + "ß" * 51 + " İ" * 3,
    "ﷺ" * 4 + " " + "\u00ad" * 120 + "x" + "\ufe0f" * 60 + " " + "語" * 120,
    "x" + "\u0301" * 60 + " y" + "\u0323\u0301" * 10 + " " + "." * 120,
    " ".join(str(number) for number in range(200)),
]

# Where the random strings take their characters from.
RANGES = [
    (0x20, 0x7E),
    (0x00, 0xFF),
    (0x100, 0x24F),
    (0x300, 0x36F),
    (0x370, 0x52F),
    (0x591, 0x6FF),
    (0x900, 0xDFF),
    (0xE00, 0xFFF),
    (0x1000, 0x11FF),
    (0x1780, 0x1DFF),
    (0x1E00, 0x1FFF),
    (0x2000, 0x2BFF),
    (0x3000, 0x33FF),
    (0x4DF0, 0x4E20),
    (0xA640, 0xABFF),
    (0xAC00, 0xD7FB),
    (0xF900, 0xFDFF),
    (0xFE00, 0xFFFF),
    (0x10300, 0x11FFF),
    (0x1D000, 0x1D7FF),
    (0x1F100, 0x1F9FF),
    (0x2F800, 0x2FA1F),
]


@pytest.fixture(scope="module")
def code_points():
    """All code points that the libraries know alike, private use left out."""
    known = tf.strings.regex_full_match(
        tf.strings.unicode_encode(tf.range(0x110000)[:, None], "UTF-8"),
        r"\p{L}|\p{M}|\p{N}|\p{P}|\p{S}|\p{Z}|\p{Cc}|\p{Cf}",
    )
    return [
        code_point
        for code_point in np.flatnonzero(known.numpy()).tolist()
        if code_point
        and unicodedata.category(chr(code_point)) not in ("Cn", "Cs", "Co")
    ]


@pytest.fixture(scope="module")
def vocabulary(code_points):
    """Every character as a piece, so that ids tell how each was folded.

    Letters at whose absence a word is unknown and pieces of several letters
    come on top: one ASCII letter is missing, and pieces overlap.
    """
    letters = [
        char
        for char in map(chr, code_points)
        if char != "j" and unicodedata.category(char) != "Cc"
    ]
    rng = random.Random(0)
    words = " ".join(TEXTS).casefold().split()
    pieces = {word[: rng.randint(2, 6)] for word in words}
    for word in words:
        start = rng.randrange(len(word))
        pieces.add("##" + word[start : start + rng.randint(2, 5)])
    pieces = sorted(piece for piece in pieces if len(piece) < 30)
    inner = [c for c in letters if not _is_chinese_or_korean(c)]
    tokens = SPECIAL + letters + ["##" + c for c in inner] + pieces
    return list(dict.fromkeys(tokens))


@pytest.fixture(scope="module", params=MODES, ids=str)
def both(request, vocabulary):
    """Our preprocessing and KerasHub's, with the same settings."""
    lowercase, strip_accents = request.param
    tokenizer = keras_hub.models.BertTokenizer(
        vocabulary, lowercase=lowercase, strip_accents=strip_accents
    )
    theirs = keras_hub.models.BertTextClassifierPreprocessor(
        tokenizer, sequence_length=LENGTH
    )
    return WordPiece.from_keras_hub(tokenizer, LENGTH), theirs


def assert_equal(both, texts):
    """Compares ids without special tokens, then all packed tensors."""
    ours, theirs = both
    dataset = tf.data.Dataset.from_tensor_slices(texts).batch(4096)
    signature = [tf.TensorSpec([None], tf.string)]
    reference = tf.function(theirs.tokenizer, signature)
    for batch in dataset:
        ids, expected = ours.tokenize(batch), reference(batch)
        assert ids.dtype == expected.dtype == tf.int32
        for text, row, wanted in zip(
            batch.numpy(), ids.to_list(), expected.to_list(), strict=True
        ):
            assert row == wanted, _explain(ours, text, row, wanted)
    for result, wanted in zip(
        dataset.map(ours), dataset.map(theirs), strict=True
    ):
        assert result.keys() == wanted.keys()
        for name, value in wanted.items():
            assert result[name].dtype == value.dtype
            np.testing.assert_array_equal(result[name], value, err_msg=name)


def _explain(ours, text, row, wanted):
    text = text.decode(errors="backslashreplace")
    row, wanted = (
        [ours.vocabulary[token] for token in ids] for ids in (row, wanted)
    )
    return f"{text!a}: {row!a} is not {wanted!a}"


def _is_chinese_or_korean(char):
    """Whether it is one of 100,000 code points that are treated alike."""
    return any(
        low <= ord(char) <= high
        for low, high in (
            (0x3400, 0x9FFF),
            (0xAC00, 0xD7A3),
            (0x17000, 0x18CFF),
            (0x20000, 0x2F7FF),
            (0x30000, 0x323AF),
        )
    )


def test_texts_in_many_scripts(both):
    assert_equal(both, TEXTS)


def test_every_code_point_alone_and_inside_a_word(both, code_points):
    chars = [chr(code_point) for code_point in code_points]
    chars = [
        char
        for char in chars
        if not _is_chinese_or_korean(char) or ord(char) % 32 in (0, 31)
    ]
    assert_equal(both, [f"{c} a{c}b" for c in chars])


def test_random_strings(both, code_points):
    rng = random.Random(1)
    pools = [
        [chr(point) for point in code_points if low <= point <= high]
        for low, high in RANGES
    ]
    marks = [c for c in map(chr, code_points) if unicodedata.combining(c)]
    pools += [marks, [c for pool in pools for c in pool]]
    texts = []
    for _ in range(6000):
        chosen = rng.sample(pools, rng.randint(1, 3))
        size = rng.randint(0, 40)
        texts.append(
            "".join(rng.choice(rng.choice(chosen)) for _ in range(size))
        )
    assert_equal(both, texts)


def test_random_words_of_few_letters(both):
    rng = random.Random(2)
    letters = "aAbeEéthnig.- "
    texts = [
        "".join(rng.choices(letters, k=rng.randint(1, 150)))
        for _ in range(2000)
    ]
    assert_equal(both, texts)


def test_broken_utf8(both):
    rng = random.Random(3)
    texts = [
        b"\xff",
        b"abc\xff def",
        b"\xe2\x82",
        b"\xed\xa0\x80x",
        b"a\xc0\x80b",
    ]
    for text in [text.encode() for text in TEXTS if text] * 20:
        broken = bytearray(text)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(1, 256)
        texts.append(bytes(broken))
    assert_equal(both, texts)


def test_zero_byte_separates_words(vocabulary):
    # In `tf.data`, tensorflow-text takes a zero byte for the end of the text.
    # KerasHub's path in Python, like its regular expressions, does not.
    tokenizer = keras_hub.models.BertTokenizer(vocabulary, lowercase=True)
    ours = WordPiece.from_keras_hub(tokenizer)
    text = "before\x00after \x00 end"
    np.testing.assert_array_equal(ours.tokenize([text])[0], tokenizer(text))
    assert ours.tokenize([text]).to_list() == (
        ours.tokenize(["before after end"]).to_list()
    )


@pytest.mark.parametrize("length", [2, 3, 5, 200])
def test_cuts_and_pads_as_keras_hub_does(vocabulary, length):
    tokenizer = keras_hub.models.DistilBertTokenizer(vocabulary)
    preprocess = keras_hub.models.BertTextClassifierPreprocessor(
        tokenizer, sequence_length=length
    )
    ours = WordPiece.from_keras_hub(tokenizer, length)
    assert_equal((ours, preprocess), TEXTS)


def test_empty_batch_and_shapes():
    preprocess = WordPiece([*SPECIAL, "a"], sequence_length=7)
    assert preprocess.tokenize([]).shape == [0, None]
    assert preprocess([])["token_ids"].shape == [0, 7]
    dataset = tf.data.Dataset.from_tensor_slices(["a"]).batch(1)
    for spec in dataset.map(preprocess).element_spec.values():
        assert spec.shape.as_list() == [None, 7]
    with pytest.raises(ValueError, match=r"\[batch\]"):
        preprocess("a")


def test_config_is_plain_data_and_makes_an_equal():
    preprocess = WordPiece(
        ["<unk>", "[CLS]", "[SEP]", "[PAD]", "a", "##b"],
        sequence_length=9,
        lowercase=False,
        special_tokens=SpecialTokens(unknown="<unk>"),
    )
    config = json.loads(json.dumps(preprocess.get_config()))
    same = WordPiece.from_config(config)
    assert same == preprocess and hash(same) == hash(preprocess)
    assert same.get_config() == config
    assert same.tokenize(["ab abb c A"]).to_list() == [[4, 5, 4, 5, 5, 0, 0]]
    assert WordPiece([*SPECIAL, "a"]) != WordPiece([*SPECIAL, "b"])
    assert copy.deepcopy(preprocess) == preprocess  # After it was traced.


def test_accents_are_stripped_with_case_unless_told_otherwise():
    vocabulary = [*SPECIAL, "e", "é"]
    assert WordPiece(vocabulary).tokenize(["É"]).to_list() == [[5]]
    kept = WordPiece(vocabulary, strip_accents=False)
    assert kept.tokenize(["É"]).to_list() == [[6]]
    cased = WordPiece(vocabulary, lowercase=False)
    assert cased.tokenize(["é É"]).to_list() == [[6, 1]]


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"Repeated.*'a'"):
        WordPiece([*SPECIAL, "a", "a"])
    with pytest.raises(ValueError, match="unknown"):
        WordPiece(["[CLS]", "[SEP]", "[PAD]"])
    with pytest.raises(ValueError, match="sequence_length"):
        WordPiece(SPECIAL, sequence_length=1)
    with pytest.raises(TypeError, match="vocabulary"):
        WordPiece("vocabulary.txt")
    tokenizer = keras_hub.models.BertTokenizer(
        SPECIAL, special_tokens_in_strings=True
    )
    with pytest.raises(ValueError, match="special_tokens_in_strings"):
        WordPiece.from_keras_hub(tokenizer)


# TensorFlow imports Keras if it is there, so Keras is made not to be there.
SERVE = """
import json, sys
absent = ("keras", "tensorflow_text", "tltf", "keras_hub")
sys.modules.update(dict.fromkeys(absent))
import tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
texts = json.load(open(sys.argv[2]))
result = served.signatures["serving_default"](texts=tf.constant(texts))
json.dump({k: v.numpy().tolist() for k, v in result.items()}, sys.stdout)
assert not any(sys.modules[name] for name in absent)
"""


@pytest.mark.parametrize("exporter", ["module", "archive"])
def test_saved_model_needs_tensorflow_alone(vocabulary, tmp_path, exporter):
    preprocess = WordPiece(vocabulary[:20000], sequence_length=LENGTH)
    signature = [tf.TensorSpec([None], tf.string, name="texts")]
    path = str(tmp_path / "served")
    if exporter == "module":
        module = tf.Module()
        module.serve = tf.function(preprocess, signature)
        tf.saved_model.save(module, path, {"serving_default": module.serve})
    else:
        archive = keras.export.ExportArchive()
        archive.add_endpoint("serving_default", preprocess, signature)
        archive.write_out(path, verbose=False)
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    (tmp_path / "serve.py").write_text(SERVE)
    done = subprocess.run(
        [sys.executable, "serve.py", path, "texts.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    served = json.loads(done.stdout)
    for name, value in preprocess(TEXTS).items():
        np.testing.assert_array_equal(served[name], value)
