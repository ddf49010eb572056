"""A bundle includes the libraries of the target's companion backends that can be compiled."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from edgevid.backends.protocol import Compiled
from edgevid.errors import BackendError
from edgevid.exporter import check, companions
from edgevid.specs import Artefact, Device


class Graph:
    def clone(self):
        return Graph()


def backend(name, error=None, makes_nothing_before=False):
    def compile(graph, job, folder):
        if error and not makes_nothing_before:
            (folder / "half").write_text("written")
        if error:
            raise error
        (folder / "model.so").write_text(name)
        artefact = Artefact("model.so", "fp32", "a library", name)
        return Compiled("model.so", (artefact,), (), not_run=(f"model.so of {name}",))

    return SimpleNamespace(name=name, precisions=("fp32",), compile=compile)


def request(chosen="own", precision="fp32"):
    target = SimpleNamespace(name="phone", backend="own", device=Device(companions=("other",)))
    return SimpleNamespace(target=target, backend=backend(chosen), precision=precision)


def compile_all(folder, other, monkeypatch, **options):
    monkeypatch.setattr(companions, "BACKENDS", {"other": other})
    messages = []
    compiled = companions.compile_all(request(**options), Graph(), None, folder, messages.append)
    return compiled, messages


def test_the_other_library_has_a_folder_of_its_own(tmp_path, monkeypatch):
    compiled, messages = compile_all(tmp_path, backend("other"), monkeypatch)
    assert compiled.model_file == "model.so"
    assert [artefact.file for artefact in compiled.artefacts] == ["model.so", "other/model.so"]
    assert compiled.not_run == ("model.so of own", "other/model.so of other")
    assert (tmp_path / "other" / "model.so").read_text() == "other"
    assert messages == ["compiling for phone with own", "compiling for phone with other too"]


@pytest.mark.parametrize("early", [False, True])
def test_a_library_that_cannot_be_made_is_left_out_with_the_reason(tmp_path, monkeypatch, early):
    other = backend("other", BackendError("no linker: install one"), early)
    compiled, _ = compile_all(tmp_path, other, monkeypatch)
    assert compiled.not_run[-1] == "other/, left out: no linker: install one"
    assert len(compiled.artefacts) == 1
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("options", [{"chosen": "second"}, {"precision": "int8"}])
def test_only_the_targets_own_bundle_takes_it_along(tmp_path, monkeypatch, options):
    compiled, _ = compile_all(tmp_path, backend("other"), monkeypatch, **options)
    assert len(compiled.artefacts) == 1


def test_its_library_is_opened_from_the_bundles_folder(tmp_path, monkeypatch):
    compiled, _ = compile_all(tmp_path, backend("other"), monkeypatch)

    def open_model(artefact, folder, options):
        assert (folder / artefact.file).read_text() == "other"
        return SimpleNamespace(outputs=("logits",))

    monkeypatch.setattr(check, "BACKENDS", {"other": SimpleNamespace(open_model=open_model)})
    for_check = SimpleNamespace(target=request().target, streaming=False, spec=SimpleNamespace(input="clip"))
    model = check.OpenModel.open(tmp_path, compiled.artefacts[1], for_check, (), ("logits",))
    assert model.file == "other/model.so"


def test_a_phone_takes_tvm_along(mobile_bundle, run_edgevid):
    artefact = next((a for a in mobile_bundle.manifest.artefacts if a.opened_by == "tvm"), None)
    if artefact is None:
        reason = next(s for s in mobile_bundle.manifest.not_run if s.startswith("tvm/, left out: "))
        pytest.skip(reason)
    assert artefact.file == "tvm/model.so" and artefact.parity.ok
    assert json.loads((mobile_bundle.path / "tvm" / "model.json").read_text())["isa"] == "neon"
    result = run_edgevid("inspect", mobile_bundle.path, "--verify")
    assert result.status == 0
    assert "tvm/model.so: not run here" in result.out
    verified = json.loads(run_edgevid("inspect", mobile_bundle.path, "--verify", "--json").out)
    assert "aarch64" in verified["not_verified"]["tvm/model.so"]
