"""What the tests share: small bundles that are exported once, and a way to run commands."""

from __future__ import annotations

import fcntl
import gc
import hashlib
import importlib.util
import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from edgevid.host.telemetry import disable_openvino_telemetry

# Read when Triton is imported, by whatever test comes first: without a GPU its kernels are interpreted.
if not Path("/dev/nvidia0").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Importing edgevid, above, did the same for ONNX Runtime.
disable_openvino_telemetry()

SIZE, FRAMES = 64, 4

# What Hypothesis remembers stays out of the checkout.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "edgevid-hypothesis")


SLOW_FIXTURES = {"export", "exported", "library", "needs_kernel", "wheel"}
SERVERS = {"adb_variables", "here", "script", "server", "ssh", "worker_that"}
"""Fixtures that start a server or another process, for a second or two."""


SLOW_MODULE = "\npytestmark = pytest.mark.slow\n"


def pytest_ignore_collect(collection_path, config):
    """Without the slow tests, a module of them alone need not be imported: half of the time of collecting."""
    if config.option.markexpr == "not slow" and collection_path.name.startswith("test_"):
        return SLOW_MODULE in collection_path.read_text("utf-8") or None


def pytest_collection_modifyitems(items):
    """Mark what exports, compiles or starts a server by its fixtures; a run begins with the longest."""
    for item in items:
        if (SLOW_FIXTURES | SERVERS) & set(item.fixturenames):
            item.add_marker("slow")
    items.sort(
        key=lambda item: (item.get_closest_marker("long") is None, item.get_closest_marker("slow") is None)
    )


def pytest_collection_finish():
    """What was imported lives on: the collector need not walk it, nor run as often as by default."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(autouse=True)
def traced_once(request):
    """Exports share the traces of the networks of the zoo, but where the test is about tracing itself."""
    if request.node.get_closest_marker("slow") and importlib.util.find_spec("torch"):
        import traced_once

        traced_once.install()


@pytest.fixture(autouse=True)
def bundles_open_in_this_process(monkeypatch):
    """The first opening of a bundle starts no subprocess, which would spend a second on its imports."""
    from edgevid.backends.onnxruntime.specialize import pipeline

    specialize = pipeline.specialize

    def specialize_here(path, cache_folder, threads, in_subprocess=False, digests=None):
        return specialize(path, cache_folder, threads, digests=digests)

    monkeypatch.setattr(pipeline, "specialize", specialize_here)


@pytest.fixture(autouse=True)
def nothing_compiles_in_a_quick_test(request, monkeypatch):
    """Quick tests run with the kernels only where they are compiled already."""
    if request.node.get_closest_marker("slow") or "fake_compiler" in request.fixturenames:
        return
    from edgevid.kernels.common import build

    def compiled_library():
        compiler = build.find_compiler()
        library = build.library_folder() / build.library_name(compiler) if compiler else None
        return library if library and library.is_file() else "the kernels are not compiled yet"

    monkeypatch.setattr(build, "library_or_reason", compiled_library)


EXPORT = "import json, sys; from edgevid import export; export(sys.argv[1], **json.loads(sys.argv[2]))"


def export_small(model: str, output: Path, **options):
    """A bundle at ``output``, by the Python ``$EDGEVID_TEST_EXPORTER`` if this one has no PyTorch."""
    import edgevid

    options = {"classes": 5, "frames": FRAMES, "size": SIZE, **options}
    if exporter := os.environ.get("EDGEVID_TEST_EXPORTER"):
        options = json.dumps({"output": str(output), **options})
        command = [*shlex.split(exporter), "-c", EXPORT, model, options]
        subprocess.run(command, check=True, cwd=Path(__file__).parent)  # where networks of the tests are
        return edgevid.Bundle.open(output)
    pytest.importorskip("torch")
    return edgevid.export(model, output=output, **options)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A folder that all workers of a run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def exported(run_folder):
    """``export_small``, once for each model and options: every worker shares it and none changes it."""
    import edgevid

    def export_once(model: str, target: str = "cpu", **options):
        options = {"target": target, **options}
        digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:12]
        bundle = run_folder / f"{model.replace(':', '.')}-{digest}"
        with bundle.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not bundle.exists():
                export_small(model, bundle, **options)
        return edgevid.Bundle.open(bundle)

    return export_once


@pytest.fixture(scope="session")
def clip_bundle(exported):
    """``tsm_mbv2`` for 4 frames of 64x64 and 5 classes, for the CPU."""
    return exported("tsm_mbv2")


@pytest.fixture(scope="session")
def stream_bundle(exported):
    """``tsm_mbv2_online`` of the same sizes, one frame at a time."""
    return exported("tsm_mbv2_online", stream=True)


@pytest.fixture(scope="session")
def resnet_bundle(exported):
    """``tsm_r50`` for 3 frames."""
    return exported("tsm_r50", frames=3)


@pytest.fixture(scope="session")
def jetson_bundle(exported):
    return exported("tsm_mbv2", target="jetson")


@pytest.fixture(scope="session")
def jetson_stream_bundle(exported):
    return exported("tsm_mbv2_online", target="jetson-nano", stream=True)


@pytest.fixture(scope="session")
def mobile_bundle(exported):
    """A block, as TVM compiles a phone's network twice; README's export for phones is of a whole network."""
    return exported("tiny_network:Shifted", target="mobile", classes=None)


@pytest.fixture(scope="session")
def mobile_stream_bundle(exported):
    return exported("tiny_network:shifted_causal", target="mobile", stream=True, classes=None)


@pytest.fixture(scope="session")
def export():
    """``export_small``, for a test that wants a bundle of its own."""
    return export_small


@pytest.fixture
def run_edgevid(capsys):
    """Run a command in this process; gives its exit status, stdout and stderr."""
    from edgevid.cli import main

    def run(*arguments: object) -> SimpleNamespace:
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code or 0
        captured = capsys.readouterr()
        return SimpleNamespace(status=status, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def refuses(run_edgevid):
    """The command is refused as bad input: status 2, nothing on stdout, one line that has ``words``."""

    def check(arguments: list, *words: str) -> str:
        result = run_edgevid(*arguments)
        lines = [line for line in result.err.splitlines() if line.startswith("edgevid: ")]
        assert result.status == 2, result
        assert result.out == ""
        assert "Traceback" not in result.err
        assert lines, result.err
        assert result.err.splitlines()[-1] == lines[-1]
        for word in words:
            assert word in lines[-1]
        return lines[-1]

    return check
