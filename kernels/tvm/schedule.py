"""A schedule for what TVM itself writes: threads over the outer places of a result, vectors over the inner.

TVM leaves the functions of ordinary operators as plain loops. Here each of their blocks gets threads, and its
last axis becomes vectors, also where it sums or compares: the reduction then goes around the vector.
"""

from __future__ import annotations

from edgevid.kernels.tvm.emit import SCHEDULED
from edgevid.kernels.tvm.machine import Machine

SPATIAL, REDUCTION = 0, 2
"""TVM's numbers for what an axis of a block is."""

LEAST_WORK = 4096
"""A block of fewer values than this is not worth waking threads for."""


def schedule_all(module, machine: Machine):
    """The module with every function scheduled that has not its final loops yet."""
    import tvm
    from tvm import tirx

    changed = tvm.IRModule(dict(module.functions), attrs=module.attrs, global_infos=module.global_infos)
    for variable, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc) and _can_be_scheduled(function):
            changed[variable] = _scheduled(function, machine)
    return changed


def _can_be_scheduled(function) -> bool:
    """Whether it is still plain loops around blocks: running sums and sorting come with their final ones."""
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
    if work >= LEAST_WORK:
        schedule.parallel(fused)
