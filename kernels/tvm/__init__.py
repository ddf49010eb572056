"""Loops written for TVM: convolutions on tensors whose channels lie last, as TIR functions.

Each function is written loop by loop, so nothing is left to a scheduler: which loop runs on threads, which
values stay in registers, what is a vector. The same code serves every processor that LLVM knows; a
``Machine`` says how wide its vectors are and how many of them its registers hold.
"""
