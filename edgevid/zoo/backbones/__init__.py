"""Backbones that see one frame at a time, with room for a temporal shift."""
