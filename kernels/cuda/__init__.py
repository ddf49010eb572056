"""The CUDA kernels as one library, and its emulation on the CPU."""
