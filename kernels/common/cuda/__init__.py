"""The CUDA kernels as one library, and their emulation on the CPU."""
