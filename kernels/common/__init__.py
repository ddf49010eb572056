"""What the kernels share: their build, and a folder for each runtime and device with its own code."""
