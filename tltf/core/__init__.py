"""The nouns of tltf and the one staged loop."""

# Keras comes first: when it loads, tltf's classes are registered with it,
# which imports the modules of this room. None may be half loaded then.
import keras  # noqa: F401
