"""Schedule TVM's own functions: threads over the outer axes of an output, vectors over the innermost.

TVM leaves the functions of standard operators as plain loops. Each of their blocks is parallelized and its
last axis vectorized, in reductions too: the reduction loop is then around the vector.
"""

from __future__ import annotations

from edgevid.kernels.common.tvm.emit import SCHEDULED
from edgevid.kernels.common.tvm.machine import Machine

SPATIAL, REDUCTION = 0, 2
"""TVM's numbers for the kinds of a block's axes."""

MIN_WORK = 4096
"""Blocks of fewer values are not parallelized: waking threads would cost more."""


def schedule_all(module, machine: Machine):
    """The module with every function scheduled whose loops are not final."""
    import tvm
    from tvm import tirx

    scheduled = tvm.IRModule(dict(module.functions), attrs=module.attrs, global_infos=module.global_infos)
    for variable, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc) and _can_be_scheduled(function):
            scheduled[variable] = _scheduled(function, machine)
    return scheduled


def _can_be_scheduled(function) -> bool:
    """Whether it has plain loops around blocks: cumulative sums and sorting have final loops."""
    if SCHEDULED in (function.attrs or {}):
        return False
    block = getattr(function.body, "block", None)
    return block is not None and block.name_hint == "root"


def _scheduled(function, machine: Machine):
    import tvm
    from tvm import s_tir

    schedule = s_tir.Schedule(tvm.IRModule({"main": function}))
    for block in schedule.get_child_blocks(schedule.get_sblock("root")):
        _schedule_block(schedule, block, machine)
    return schedule.mod["main"].with_attr(SCHEDULED, True)


def _schedule_block(schedule, block, machine: Machine) -> None:
    loops = schedule.get_loops(block)
    kinds = [int(axis.iter_type) for axis in schedule.get(block).iter_vars]
    if len(loops) != len(kinds) or not set(kinds) <= {SPATIAL, REDUCTION}:
        return
    outer = [loop for loop, kind in zip(loops, kinds) if kind == SPATIAL]
    reductions = [loop for loop, kind in zip(loops, kinds) if kind == REDUCTION]
    if not outer:
        return
    *outer, last = outer
    extent = int(schedule.get(last).extent)
    lanes = machine.vector(extent)
    work = extent
    for loop in (*outer, *reductions):
        work *= int(schedule.get(loop).extent)
    if lanes > 1:
        last, vector = schedule.split(last, [None, lanes])
        schedule.reorder(*outer, last, *reductions, vector)
        schedule.vectorize(vector)
    elif reductions:
        schedule.reorder(*outer, last, *reductions)
    fused = schedule.fuse(*outer, last) if outer else last
    if work >= MIN_WORK:
        schedule.parallel(fused)
