"""TIR functions for TVM: convolutions on channels-last tensors.

Each function is written loop by loop, so nothing is left to a scheduler: parallel loops, values in registers,
vectors. The same code serves every processor that LLVM supports; a ``Machine`` has the vector width and the
number of registers.
"""
