"""Backbones that process each frame separately, with places for a temporal shift."""
