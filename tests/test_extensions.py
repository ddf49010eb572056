"""A package of someone else's adds a network, a backend, a target and a probe, without a change to edgevid.

``extension/`` is that package, as one would write it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXTENSION = Path(__file__).parent / "extension"
LISTED = {"models": "acme_tiny", "backends": "acme", "targets": "acme-board", "probes": "acme-meter"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of a process that finds the package, installed in a folder of its own."""
    folder = tmp_path_factory.mktemp("extension")
    source = shutil.copytree(EXTENSION, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    installed = folder / "installed"
    done = subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--no-index", "--target", installed, source],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def python(environment, code: str, *arguments: object) -> str:
    """What a fresh process prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def edgevid(environment, *arguments: object) -> dict:
    code = "from edgevid.cli import main; main()"
    return json.loads(python(environment, code, *arguments, "--json"))


@pytest.fixture(scope="module")
def bundle(environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    edgevid(environment, "export", "acme_tiny", "--target", "acme-board", "-o", folder)
    return folder


@pytest.mark.parametrize("kind", LISTED)
def test_what_it_adds_is_listed_after_ours(environment, kind):
    names = [row["name"] for row in edgevid(environment, "list", kind)[kind]]
    assert names[-1] == LISTED[kind] and len(names) > 1


def test_its_network_is_exported_by_its_backend_for_its_target(environment, bundle):
    shown = edgevid(environment, "inspect", bundle, "--verify")
    manifest = shown["manifest"]
    assert manifest["model"] == "acme_tiny"
    assert manifest["target"] == "acme-board" and manifest["backend"] == "acme"
    assert {check["parity"]["ok"] for check in shown["verified"]} == {True}


def test_a_session_runs_it(environment, bundle):
    code = (
        "import sys, numpy, edgevid\n"
        "session = edgevid.open(sys.argv[1])\n"
        "print(session.backend, session.run(numpy.zeros((2, 2, 3, 16, 16)))['logits'].shape)"
    )
    assert python(environment, code, bundle) == "acme (2, 400)\n"


def test_its_probe_measures_the_power_of_its_target(environment, bundle):
    options = ("--scenario", "single-stream", "--duration", "0.2")
    (result,) = edgevid(environment, "bench", bundle, *options)["results"]
    assert (result["power_w"], result["why_no_power"]) == (2.5, "")
    clips_per_s = result["throughput"]["clips_per_s"]
    assert result["energy_mj_per_clip"] == pytest.approx(2500 / clips_per_s)


def test_without_the_package_its_names_are_unknown(environment):
    code = "from edgevid.zoo import MODELS; print('acme_tiny' in MODELS)"
    assert python(os.environ, code) == "False\n"
    assert python(environment, code) == "True\n"


def test_its_bundle_is_refused_in_words_without_the_package(bundle):
    code = "from edgevid.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "inspect", str(bundle), "--verify"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "unknown backend 'acme'" in done.stderr and "Traceback" not in done.stderr
