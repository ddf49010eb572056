"""The library of kernels for Android phones."""
