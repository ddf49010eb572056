"""Open a bundle and run it: clips with ``run``, a stream frame by frame with ``stream``. No torch."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from edgevid.backends import BACKENDS, Backend, board_addresses, board_backend, opener
from edgevid.backends.protocol import Board, OpenOptions, ProfiledRunner, RemoteRunner, Stepper
from edgevid.bundle.bundle import LABELS, Bundle
from edgevid.bundle.model_files import check_models
from edgevid.errors import BackendError, BundleError, EdgevidError, first_line
from edgevid.specs import LOCAL, TOLERANCE, Artefact, Parity
from edgevid.specs.records import UNPRINTABLE
from edgevid.targets import TARGETS

if TYPE_CHECKING:
    import numpy as np

    from edgevid.backends.protocol import Profile, Runner

MAX_LABEL_BYTES = 16 << 20


def open(
    path: str | os.PathLike[str],
    threads: int | None = None,
    device: str = LOCAL,
    shares_cores: bool = False,
) -> Session:
    """Open a bundle for running on ``threads`` threads (None: the cores that this process may use).

    ``device`` is "local", or ``rpc://HOST:PORT/KEY`` for a bundle of TVM: a board with that key, from the TVM
    tracker at that address, runs it. With ``shares_cores`` the runtime's threads sleep between two runs, so
    that a decoder in the same process gets their cores; alone, the network is a little faster without.

    Every file's hash is checked first. Raises ``BundleError`` for a bundle that is missing, incomplete,
    changed, of a newer version or that reads files outside its folder, and ``BackendError`` if its backend
    cannot run here, or if there is no such board.
    """
    if threads is not None and threads < 1:
        raise EdgevidError(f"threads must be at least 1, not {threads}: leave it out to use every core")
    bundle = Bundle.open(path)
    bundle.check_files()
    check_models(bundle)
    return Session(bundle, threads, device=device, shares_cores=shares_cores)


class Session:
    """A network that is ready to run.

    ``artefact`` is the model file, by default the bundle's own; ``with_kernels=False`` runs it without
    edgevid's kernels.

    ``manifest`` describes inputs and outputs; ``target`` is the device that it names, None if edgevid here
    has no such target; ``backend`` is the one that runs the network here, not the
    manifest's if that runs only on the device; ``threads`` is the number in effect; ``op_coverage`` has the
    kernel of each temporal op, or the reason why it has none (empty if the runtime gets the model
    unmodified); ``board`` is the board that runs it over RPC, None for this machine.
    """

    board: Board | None = None

    def __init__(
        self,
        bundle: Bundle,
        threads: int | None = None,
        artefact: Artefact | None = None,
        with_kernels: bool = True,
        device: str = LOCAL,
        shares_cores: bool = False,
    ) -> None:
        manifest = bundle.manifest
        artefact = artefact or _default_artefact(bundle)
        self.bundle, self.manifest, self.path = bundle, manifest, bundle.path
        self.artefact = artefact
        self.labels = _labels(bundle)
        self.backend = opener(manifest.backend, artefact) if with_kernels else artefact.opened_by
        if device != LOCAL:
            self.backend = _backend_on(device, bundle, artefact).name
        is_own_model = artefact.file == manifest.model_file and self.backend == manifest.backend
        self.target = TARGETS.get(manifest.target)
        providers = self.target.device.execution_providers if self.target else ()
        options = OpenOptions(
            threads, providers, with_kernels and is_own_model, bundle.digests, device, shares_cores
        )
        self._runner = BACKENDS[self.backend].open_model(artefact, self.path, options)
        self.threads, self.op_coverage = self._runner.threads, self._runner.op_coverage
        # On a GPU a step copies its input and output, and waits for the device.
        self.step_includes: tuple[str, ...] = getattr(self._runner, "step_includes", ("inference",))
        if isinstance(self._runner, RemoteRunner):
            self.board = self._runner.board
        self._check_names()

    @property
    def kernels(self) -> tuple[str, ...]:
        """Each kernel that runs temporal ops here, and the number of ops, such as ``ShiftConv x16``."""
        names = [
            op.kernel.partition(" (")[0] if op.kernel else f"{op.op_type} (portable function)"
            for op in self.op_coverage
        ]
        return tuple(f"{name} x{count}" for name, count in sorted(Counter(names).items()))

    def run(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for float32 clips ``(N, T, C, H, W)`` or, for an image classifier, ``(N, C, H,
        W)``.

        ``clip`` is normalized as in the manifest; N is free.
        """
        import numpy as np

        if self.manifest.streaming:
            raise BundleError(f"bundle '{self.path}' takes a stream: push frames into session.stream()")
        name, shape = self.manifest.inputs[0].name, self.manifest.inputs[0].shape
        clip = self._as_input(clip, shape)
        with self._running():
            runs = [self._runner.run({name: np.ascontiguousarray(clip[i : i + 1])}) for i in range(len(clip))]
        if len(runs) == 1:
            return runs[0]
        return {key: np.concatenate([result[key] for result in runs]) for key in runs[0]}

    def stream(self) -> Stream:
        """A new stream, its states zero."""
        return Stream(self)

    def check(self) -> Parity:
        """Run the bundle's example and compare with the eager network's outputs."""
        from edgevid import parity

        clip, expected = parity.load(self.path)
        result = parity.pushed(self.stream().push, clip) if self.manifest.streaming else self.run(clip)
        return parity.compare(result, expected, TOLERANCE[self.artefact.precision])

    def prepare(self, array: np.ndarray | None = None) -> Callable[[], None]:
        """A function of no arguments that runs one inference, on a clip or on a frame of a stream.

        ``array`` is the clip or frame, by default a seeded random one. Each call advances a stream's states.
        """
        return self._prepare(self._runner, array)

    def profiler(self) -> tuple[Callable[[], None], Callable[[int], Profile]]:
        """Open the model once more with the runtime's profiler; ``BackendError`` if it has none.

        Returns what ``prepare`` does, and a function that closes it and returns the profile without the first
        runs, whose number it takes.
        """
        if not isinstance(self._runner, ProfiledRunner):
            raise BackendError(
                f"{self.backend} does not time single layers here: export with --backend onnxruntime"
            )
        with self._running():
            profiler = self._runner.profiler()
        return self._prepare(profiler.runner), profiler.finish

    def _prepare(self, runner: Runner, array: np.ndarray | None = None) -> Callable[[], None]:
        import numpy as np

        spec = self.manifest.inputs[0]
        if array is None:
            array = np.random.default_rng(0).standard_normal(spec.sizes, dtype=np.float32)
        array = self._as_input(array, spec.shape)
        with self._running():
            if not self.manifest.streaming:
                return runner.bind({spec.name: np.ascontiguousarray(array)})
            stepper = runner.stepper(spec.name, self.manifest.states)
            stepper.push(array)
        return stepper.step

    def timer(self) -> Callable[[int], list[int]]:
        """For a session on a board over RPC: a function that runs ``count`` inferences in a row there.

        It returns the nanoseconds of each by the board's clock. The input is random (seeded); the states of a
        stream stay zero.
        """
        import numpy as np

        if not isinstance(self._runner, RemoteRunner):
            raise EdgevidError("only a board over RPC has a timer: open the bundle with device='rpc://...'")
        spec = self.manifest.inputs[0]
        inputs = {spec.name: np.random.default_rng(0).standard_normal(spec.sizes, dtype=np.float32)}
        for state in self.manifest.states:
            inputs[state.input] = np.full(state.shape, state.initial, dtype=state.dtype)
        self._runner.bind(inputs)()
        return self._runner.timer()

    def _stepper(self) -> Stepper:
        with self._running():
            return self._runner.stepper(self.manifest.inputs[0].name, self.manifest.states)

    def _check_names(self) -> None:
        """``BundleError`` if the model's inputs or outputs are not those of the manifest."""
        manifest, runner = self.manifest, self._runner
        inputs = {spec.name: spec.shape for spec in manifest.inputs}
        inputs |= {state.input: state.shape for state in manifest.states}
        outputs = {spec.name for spec in manifest.outputs} | {state.output for state in manifest.states}
        if set(inputs) != set(runner.inputs) or not outputs <= set(runner.outputs):
            raise BundleError(
                f"bundle '{self.path}': its model takes {_join_names(runner.inputs)} and returns "
                f"{_join_names(runner.outputs)}, its manifest has {_join_names(inputs)} and "
                f"{_join_names(outputs)}: export again"
            )
        for name, shape in inputs.items() if isinstance(runner.inputs, Mapping) else ():
            actual = runner.inputs[name]  # type: ignore[index]
            if len(actual) != len(shape) or any(
                isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(actual, shape)
            ):
                raise BundleError(
                    f"bundle '{self.path}': its model takes '{name}' of shape {tuple(actual)}, its manifest "
                    f"has {shape}: export again"
                )

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """Turn a runtime's exceptions, which have no common base, into ``BackendError``."""
        try:
            yield
        except EdgevidError:
            raise
        except Exception as error:
            raise BackendError(
                f"bundle '{self.path}' fails when it runs: {first_line(error)}. Export again"
            ) from error

    def _as_input(self, array: np.ndarray, shape: tuple[int | str, ...]) -> np.ndarray:
        import numpy as np

        array = np.asarray(array, dtype=np.float32)
        if array.ndim != len(shape) or array.shape[1:] != tuple(shape[1:]) or len(array) == 0:
            expected = ", ".join(["N", *map(str, shape[1:])])
            raise EdgevidError(
                f"this bundle takes ({expected}), not {array.shape}: see 'edgevid inspect {self.path}'"
            )
        return array


class Stream:
    """Frames in, outputs out; it holds the states between frames."""

    def __init__(self, session: Session) -> None:
        if not session.manifest.streaming:
            raise BundleError(
                f"bundle '{session.path}' takes whole clips: use session.run(clip), or export a causal "
                "network with --stream ('edgevid list models' shows which)"
            )
        self._session, self._stepper = session, session._stepper()

    def push(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name after one more float32 frame ``(1, 3, H, W)``; the states advance."""
        shape = self._session.manifest.inputs[0].shape
        frame = self._session._as_input(frame, shape)
        if len(frame) != shape[0]:
            raise EdgevidError(
                f"a stream takes {shape[0]} frame at a time, not {len(frame)}: open one for each video"
            )
        with self._session._running():
            return self._stepper.push(frame)

    def reset(self) -> None:
        """Set the states to zero."""
        self._stepper.reset()


def _default_artefact(bundle: Bundle) -> Artefact:
    manifest = bundle.manifest
    for artefact in manifest.artefacts:
        if artefact.file == manifest.model_file:
            return artefact
    raise BundleError(f"bundle '{bundle.path}' has no model file: export it again")


def _backend_on(device: str, bundle: Bundle, artefact: Artefact) -> Backend:
    """The backend that reaches the board at ``device``; ``BackendError`` unless it opens ``artefact``."""
    backend = board_backend(device)
    if backend is None:
        raise BackendError(f"'{device}' is not the address of a board: use {board_addresses()}")
    if artefact.opened_by != backend.name:
        raise BackendError(
            f"bundle '{bundle.path}' was made with {bundle.manifest.backend}, but the board at {device} runs "
            f"bundles of {backend.name}: export again with --backend {backend.name}"
        )
    return backend


def _labels(bundle: Bundle) -> list[str] | None:
    """The names of the classes; ``BundleError`` if their number is wrong, or one is not printable."""
    if LABELS not in bundle.manifest.files:
        return None
    try:
        labels = bundle.read(LABELS, MAX_LABEL_BYTES).decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise BundleError(f"bundle '{bundle.path}': {LABELS} is not UTF-8 text: export again") from None
    if any(map(UNPRINTABLE.search, labels)) or len(labels) != bundle.manifest.classes:
        raise BundleError(
            f"bundle '{bundle.path}': {LABELS} has {len(labels)} lines for {bundle.manifest.classes} "
            "classes, or control characters: export again"
        )
    return labels


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
