"""Native kernels, one folder per op, each with its NumPy reference."""
