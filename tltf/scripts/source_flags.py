"""The flags that say which data and which backbone."""

from absl import flags

from tltf.scripts.parsers import COUNT, TEXT, OrNone, Size

# Arguments of `tltf.datasets.load`.
DATA = {
    "batch_size": ("Examples a step. Left out: 32.", COUNT),
    "validation": (
        "Share of the training data that is held out, where the data have no"
        " validation part. Left out: 0.2.",
        flags.FloatParser(0, 1),
    ),
    "resize": ("How pictures get their size: stretch, crop or pad.", TEXT),
    "cache_dir": (
        "Folder of what need not be done twice: which pictures are good, and"
        " the features of what is frozen. Left out: features lie in model_dir.",
        TEXT,
    ),
    "label_kind": ("Of tables: auto, multi_label or regression.", TEXT),
    "text_column": ("Of tables: the column of texts.", TEXT),
    "path_column": ("Of tables: the column of paths of pictures.", TEXT),
    "label_column": ("Of tables: the column of labels.", TEXT),
    "split_column": (
        "Of tables: the column that says train, validation or test.",
        TEXT,
    ),
    "data_dir": ("Of tfds: where it keeps its data.", TEXT),
    "input_feature": ("Of tfds: the feature of pictures or texts.", TEXT),
    "label_feature": ("Of tfds: the feature of labels.", TEXT),
    "train_split": ("Of tfds: such as 'train[:80%]'.", TEXT),
    "validation_split": ("Of tfds: such as 'train[80%:]'.", TEXT),
    "test_split": ("Of tfds: such as 'test'.", TEXT),
    "labels_per_class": ("Of demo: how many pictures a class has.", COUNT),
}

# Arguments of `tltf.backbones.load`.
BACKBONE = {
    "weights": (
        "pretrained, none (random ones), or the path of a .weights.h5. Left"
        " out: pretrained.",
        OrNone(),
    ),
    "image_size": (
        "Pixels, or height,width. Left out: what the backbone was trained for.",
        Size(),
    ),
    "sequence_length": (
        "Tokens that a text is cut or padded to. Left out: 128.",
        COUNT,
    ),
    "cut": ("Of saved models: the last layer to keep.", TEXT),
    "precision": (
        "What the backbone computes in: auto, float32, bfloat16 or float16."
        " Left out: auto, which is float32 on a CPU.",
        TEXT,
    ),
}

SOURCES = {
    "data": (
        "Such as folder:flowers/, csv:reviews.csv or tfds:tf_flowers; `tltf"
        " list datasets` explains them.",
        TEXT,
    ),
    "backbone": (
        "Such as applications:ResNet50 or hub:bert_base_en_uncased; `tltf"
        " list backbones` names them.",
        TEXT,
    ),
}
