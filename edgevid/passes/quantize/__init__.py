"""Quantization of convolutions and matrix products to int8."""
