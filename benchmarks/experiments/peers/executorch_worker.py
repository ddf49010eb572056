"""The worker for ExecuTorch with XNNPACK, in a separate environment: lowers an exported program, or runs one.

Run by path with that environment's interpreter, which does not have edgevid.
"""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any


def make(folder: str, network: str) -> dict[str, Any]:
    """Lower ``<network>.pt2`` to ``<network>.pte``."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.load(Path(folder) / f"{network}.pt2")
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    (Path(folder) / f"{network}.pte").write_bytes(lowered.buffer)
    return {"file": f"{network}.pte"}


def open_runner(peer: str, folder: Path, clip: Any, case: dict[str, Any], network: str, threads: int) -> Any:
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime
    from worker_protocol import Runner

    class ExecuTorch(Runner):
        version = importlib.metadata.version("executorch")

        def __init__(self) -> None:
            super().__init__(clip, case["mode"] == "streaming")
            portable_lib._unsafe_reset_threadpool(threads)
            self._method = Runtime.get().load_program(folder / f"{network}.pte").load_method("forward")
            meta = self._method.metadata
            shapes = [meta.input_tensor_meta(i).sizes() for i in range(1, meta.num_inputs())]
            self._x = torch.from_numpy(self.x)
            self._states = self._zeros = [torch.zeros(shape) for shape in shapes]

        def step(self) -> None:
            self._result, *self._states = self._method.execute([self._x, *self._states])

        def logits(self) -> Any:
            return self._result.numpy()

        def reset(self) -> None:
            self._states = self._zeros

    return ExecuTorch()


def main() -> int:
    # Appended last, so that no module of this folder shadows a package.
    sys.path.append(str(Path(__file__).parent))
    from worker_protocol import runner_actions, serve

    return serve({"make": make, **runner_actions(open_runner)})


if __name__ == "__main__":
    sys.exit(main())
