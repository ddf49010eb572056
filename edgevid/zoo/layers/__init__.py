"""Layers that networks of several families share."""
