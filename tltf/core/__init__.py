"""The nouns of tltf and the one staged loop."""
