"""The GPU memory that this process holds, as NVIDIA's driver reports it."""

from __future__ import annotations

import os

from edgevid.host.memory import MIB


def gpu_memory_mib() -> tuple[float | None, str]:
    """The memory on all GPUs together in MiB; or None, and the reason."""
    try:
        import pynvml
    except ImportError:
        return None, "reading it needs nvidia-ml-py: pip install 'edgevid[power]'"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return None, f"NVIDIA's driver does not answer: {error}"
    try:
        used = [
            process.usedGpuMemory
            for index in range(pynvml.nvmlDeviceGetCount())
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(
                pynvml.nvmlDeviceGetHandleByIndex(index)
            )
            if process.pid == os.getpid()
        ]
    except pynvml.NVMLError as error:
        return None, f"NVIDIA's driver does not report it: {error}"
    finally:
        pynvml.nvmlShutdown()
    if not used or None in used:
        return None, "this process holds no GPU memory, or the driver does not see its number"
    return sum(used) / MIB, ""
