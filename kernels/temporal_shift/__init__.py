"""The standalone temporal shift: NumPy reference and C++."""
