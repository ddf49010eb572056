"""Native kernels, one folder per op, the numpy reference beside each."""
