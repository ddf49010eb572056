"""Open a bundle and run it: clips through ``run``, a stream frame by frame through ``stream``. No torch."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from edgevid.backends import BACKENDS, Backend, board_addresses, board_backend, opener
from edgevid.backends.protocol import Board, OpenOptions, RemoteRunner, Stepper
from edgevid.bundle.bundle import LABELS, Bundle
from edgevid.bundle.model_files import check_models
from edgevid.errors import BackendError, BundleError, EdgevidError, first_line
from edgevid.specs import LOCAL, TOLERANCE, Artefact, Parity
from edgevid.specs.records import UNPRINTABLE
from edgevid.targets import TARGETS

if TYPE_CHECKING:
    import numpy as np

MOST_LABEL_BYTES = 16 << 20


def open(path: str | os.PathLike[str], threads: int | None = None, device: str = LOCAL) -> Session:
    """Open a bundle for running on ``threads`` threads (None: the cores that this process may use).

    ``device`` is "local", or ``rpc://HOST:PORT/KEY``: a board that the tracker of TVM at that address lends,
    of those that registered with the key, runs a bundle that TVM compiled. Every file is compared with its
    hash first. Raises ``BundleError`` for a bundle that is missing, incomplete, changed, newer or that reads
    files outside itself, ``BackendError`` if its backend cannot run here, or if there is no such board.
    """
    if threads is not None and threads < 1:
        raise EdgevidError(f"threads must be at least 1, not {threads}: leave it out to use every core")
    bundle = Bundle.open(path)
    bundle.check_files()
    check_models(bundle)
    return Session(bundle, threads, device=device)


class Session:
    """A network that is ready to run.

    ``artefact`` is the model file, by default the bundle's own; ``with_kernels`` False runs it as a runtime
    does that has no kernels of ours.

    ``manifest`` says what it takes and gives; ``backend`` names what runs it here, which is not the
    manifest's backend where that can only run on the device; ``threads`` is the number in effect;
    ``op_coverage`` has for each temporal op the kernel that takes it, or why none does (empty where a runtime
    takes the model as it is); ``board`` is the board over RPC that runs it, None for this machine.
    """

    board: Board | None = None

    def __init__(
        self,
        bundle: Bundle,
        threads: int | None = None,
        artefact: Artefact | None = None,
        with_kernels: bool = True,
        device: str = LOCAL,
    ) -> None:
        manifest = bundle.manifest
        artefact = artefact or _default_artefact(bundle)
        self.bundle, self.manifest, self.path = bundle, manifest, bundle.path
        self.artefact = artefact
        self.labels = _labels(bundle)
        self.backend = opener(manifest.backend, artefact) if with_kernels else artefact.opened_by
        if device != LOCAL:
            self.backend = _backend_on(device, bundle, artefact).name
        own = artefact.file == manifest.model_file and self.backend == manifest.backend
        known = manifest.target in TARGETS
        providers = TARGETS[manifest.target].device.execution_providers if known else ()
        options = OpenOptions(threads, providers, with_kernels and own, bundle.digests, device)
        self._runner = BACKENDS[self.backend].open_model(artefact, self.path, options)
        self.threads, self.op_coverage = self._runner.threads, self._runner.op_coverage
        if isinstance(self._runner, RemoteRunner):
            self.board = self._runner.board
        self._check_names()

    @property
    def kernels(self) -> tuple[str, ...]:
        """Each kernel that takes temporal ops here, and how many, such as ``ShiftConv x16``."""
        names = [
            op.kernel.partition(" (")[0] if op.kernel else f"{op.op_type} (portable function)"
            for op in self.op_coverage
        ]
        return tuple(f"{name} x{count}" for name, count in sorted(Counter(names).items()))

    def run(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for float32 clips ``(N, T, C, H, W)`` or, of a network of images, ``(N, C, H, W)``.

        They are normalised as the manifest says, and of any N.
        """
        import numpy as np

        if self.manifest.streaming:
            raise BundleError(f"bundle '{self.path}' takes a stream: push frames into session.stream()")
        name, shape = self.manifest.inputs[0].name, self.manifest.inputs[0].shape
        clip = self._checked(clip, shape)
        with self._running():
            runs = [self._runner.run({name: np.ascontiguousarray(clip[i : i + 1])}) for i in range(len(clip))]
        if len(runs) == 1:
            return runs[0]
        return {key: np.concatenate([result[key] for result in runs]) for key in runs[0]}

    def stream(self) -> Stream:
        """A new stream, its states zero."""
        return Stream(self)

    def check(self) -> Parity:
        """Run the bundle's example and compare with what the eager network gave."""
        from edgevid import parity

        clip, expected = parity.load(self.path)
        result = parity.pushed(self.stream().push, clip) if self.manifest.streaming else self.run(clip)
        return parity.compare(result, expected, TOLERANCE[self.artefact.precision])

    def prepare(self, array: np.ndarray | None = None) -> Callable[[], None]:
        """A function of no arguments that does one inference, on a clip or on a frame of a stream.

        ``array`` is the clip or frame; without it a seeded random one is made. A stream's states move on.
        """
        import numpy as np

        spec = self.manifest.inputs[0]
        if array is None:
            array = np.random.default_rng(0).standard_normal(spec.sizes, dtype=np.float32)
        array = self._checked(array, spec.shape)
        if not self.manifest.streaming:
            with self._running():
                return self._runner.bind({spec.name: np.ascontiguousarray(array)})
        stepper = self._stepper()
        with self._running():
            stepper.push(array)
        return stepper.step

    def timer(self) -> Callable[[int], list[int]]:
        """Of a session on a board over RPC: a function that makes so many inferences there in a row.

        It gives the nanoseconds of each by the board's own clock. The input is random (seeded); the states of
        a stream stay zero.
        """
        import numpy as np

        if not isinstance(self._runner, RemoteRunner):
            raise EdgevidError("only a board over RPC has a timer: open the bundle with device='rpc://...'")
        spec = self.manifest.inputs[0]
        given = {spec.name: np.random.default_rng(0).standard_normal(spec.sizes, dtype=np.float32)}
        for state in self.manifest.states:
            given[state.input] = np.full(state.shape, state.initial, dtype=state.dtype)
        self._runner.bind(given)()
        return self._runner.timer()

    def _stepper(self) -> Stepper:
        with self._running():
            return self._runner.stepper(self.manifest.inputs[0].name, self.manifest.states)

    def _check_names(self) -> None:
        """``BundleError`` if the model takes or gives something else than the manifest says."""
        manifest, runner = self.manifest, self._runner
        taken = {spec.name: spec.shape for spec in manifest.inputs}
        taken |= {state.input: state.shape for state in manifest.states}
        given = {spec.name for spec in manifest.outputs} | {state.output for state in manifest.states}
        if set(taken) != set(runner.inputs) or not given <= set(runner.outputs):
            raise BundleError(
                f"bundle '{self.path}': its model takes {_listed(runner.inputs)} and gives "
                f"{_listed(runner.outputs)}, its manifest says {_listed(taken)} and {_listed(given)}: "
                "export again"
            )
        for name, shape in taken.items() if isinstance(runner.inputs, Mapping) else ():
            own = runner.inputs[name]  # type: ignore[index]
            if len(own) != len(shape) or any(
                isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(own, shape)
            ):
                raise BundleError(
                    f"bundle '{self.path}': its model takes '{name}' of shape {tuple(own)}, its manifest "
                    f"says {shape}: export again"
                )

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """Turn what a runtime raises of a model, each kinds of its own, into one line."""
        try:
            yield
        except EdgevidError:
            raise
        except Exception as error:
            raise BackendError(
                f"bundle '{self.path}' fails when it runs: {first_line(error)}. Export again"
            ) from error

    def _checked(self, array: np.ndarray, shape: tuple[int | str, ...]) -> np.ndarray:
        import numpy as np

        array = np.asarray(array, dtype=np.float32)
        if array.ndim != len(shape) or array.shape[1:] != tuple(shape[1:]) or len(array) == 0:
            wanted = ", ".join(["N", *map(str, shape[1:])])
            raise EdgevidError(
                f"this bundle takes ({wanted}), not {array.shape}: see 'edgevid inspect {self.path}'"
            )
        return array


class Stream:
    """Frames in, answers out; the states between frames are kept here."""

    def __init__(self, session: Session) -> None:
        if not session.manifest.streaming:
            raise BundleError(
                f"bundle '{session.path}' takes whole clips: use session.run(clip), or export a causal "
                "network with --stream ('edgevid list models' shows which)"
            )
        self._session, self._stepper = session, session._stepper()

    def push(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name after one more float32 frame ``(1, 3, H, W)``; the states move on."""
        shape = self._session.manifest.inputs[0].shape
        frame = self._session._checked(frame, shape)
        if len(frame) != shape[0]:
            raise EdgevidError(
                f"a stream takes {shape[0]} frame at a time, not {len(frame)}: open one for each video"
            )
        with self._session._running():
            return self._stepper.push(frame)

    def reset(self) -> None:
        """Forget everything: the states are zero again."""
        self._stepper.reset()


def _default_artefact(bundle: Bundle) -> Artefact:
    manifest = bundle.manifest
    for artefact in manifest.artefacts:
        if artefact.file == manifest.model_file:
            return artefact
    raise BundleError(f"bundle '{bundle.path}' names no model file: export it again")


def _backend_on(device: str, bundle: Bundle, artefact: Artefact) -> Backend:
    """The backend whose board ``device`` is; ``BackendError`` unless it opens ``artefact``."""
    backend = board_backend(device)
    if backend is None:
        raise BackendError(f"'{device}' is not the address of a board: give {board_addresses()}")
    if artefact.opened_by != backend.name:
        raise BackendError(
            f"bundle '{bundle.path}' was made with {bundle.manifest.backend}, and the board at {device} runs "
            f"what {backend.name} compiled: export again with --backend {backend.name}"
        )
    return backend


def _labels(bundle: Bundle) -> list[str] | None:
    """The names of the classes; ``BundleError`` if there are not as many, or if one is no readable text."""
    if LABELS not in bundle.manifest.files:
        return None
    try:
        labels = bundle.read(LABELS, MOST_LABEL_BYTES).decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise BundleError(f"bundle '{bundle.path}': {LABELS} is not UTF-8 text: export again") from None
    if any(map(UNPRINTABLE.search, labels)) or len(labels) != bundle.manifest.classes:
        raise BundleError(
            f"bundle '{bundle.path}': {LABELS} has {len(labels)} lines for {bundle.manifest.classes} "
            "classes, or control characters: export again"
        )
    return labels


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
