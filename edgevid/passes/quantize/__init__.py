"""Convolutions and matrix products in int8."""
