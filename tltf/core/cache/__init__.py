"""Features of what is frozen: computed once, kept, read back."""
