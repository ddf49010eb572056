"""Temporal ops in whatever operators a network writes them."""
