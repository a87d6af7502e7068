"""The command line: parse flags, call one function, say where it lies."""
