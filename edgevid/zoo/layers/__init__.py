"""Layers shared by several families of networks."""
