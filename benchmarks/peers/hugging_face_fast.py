"""Hugging Face's Trainer at its fastest without a GPU."""

import functools

from benchmarks.peers import hugging_face

prepare = hugging_face.prepare
run = functools.partial(hugging_face.run, is_fast=True)
