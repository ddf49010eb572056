"""Preprocess: from a decoder's planes to a network's input in one pass."""
