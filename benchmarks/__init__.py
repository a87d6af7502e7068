"""What tltf claims of speed, measured side by side."""
