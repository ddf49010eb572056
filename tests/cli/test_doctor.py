"""``edgevid doctor``: what it reports, and that no broken tool can stop it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from edgevid.cli import checks as doctor
from edgevid.cli import main, smoke
from edgevid.cli.checks import Check
from edgevid.host import commands

pytestmark = pytest.mark.slow


def broken(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def tools(tmp_path, monkeypatch) -> Path:
    """A PATH with nothing on it but what the test puts there, on a machine that may be busy."""
    monkeypatch.setattr(doctor, "LIMIT_S", 60.0)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def row(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_json_lists_every_kind_and_what_fails_says_why_and_what_to_do(capsys):
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--json"])
    captured = capsys.readouterr()
    checks = json.loads(captured.out)["checks"]
    assert end.value.code == 0 and captured.err == "", "the core works here, and JSON is alone on stdout"
    kinds = {"backend", "provider", "video", "package", "compiler", "device", "sensor"}
    assert {check["kind"] for check in checks} == kinds
    for check in checks:
        assert set(check) == {"kind", "name", "ok", "detail", "mend"}
        assert check["detail"] and bool(check["mend"]) != check["ok"], check


def test_the_table_groups_by_kind_and_an_unusable_core_is_exit_status_one(capsys, monkeypatch):
    checks = [
        Check("provider", "CPUExecutionProvider", True, "ran"),
        Check("provider", "SomeExecutionProvider", False, "no driver", "install it"),
        Check("video", "encode and decode", False, "no codec", "pip install av"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda: checks)
    with pytest.raises(SystemExit) as end:
        main(["doctor"])
    out = capsys.readouterr().out
    assert end.value.code == 1 and out.count("provider ") == 1
    assert "no codec" in out and "pip install av" in out and "cannot work here" in out


def test_the_core_does_not_depend_on_extras():
    needed = [Check(kind, name, True, "works") for kind, name in doctor.CORE]
    assert doctor.core_works(
        [*needed, Check("package", "torch", False, "not installed", "pip install torch")]
    )
    assert not doctor.core_works(needed[1:])


def test_an_empty_path_makes_every_tool_missing_and_raises_nothing(tools):
    checks = doctor.check_compilers() + doctor.check_devices()
    missing = [check for check in checks if check.name not in ("CPU", "camera")]
    assert missing and all("is not installed" in check.detail for check in missing if not check.ok)
    assert not row(checks, "g++").ok and "apt install g++" in row(checks, "g++").mend


def test_a_compiler_that_fails_is_reported_with_its_last_words(tools):
    broken(tools, "gcc", "echo 'cannot execute cc1' >&2; exit 1")
    assert row(doctor.check_compilers(), "gcc").detail == "gcc failed: cannot execute cc1"


def test_a_compiler_whose_program_does_not_run_is_not_usable(tools):
    # The fake compiler writes a program that ends with an error: "-o" is its third argument.
    broken(tools, "g++", 'printf \'#!/bin/sh\\nexit 3\\n\' > "$3"; /bin/chmod +x "$3"')
    check = row(doctor.check_compilers(), "g++")
    assert not check.ok and "does not run" in check.detail


def test_a_tool_that_hangs_is_given_up(tools):
    broken(tools, "adb", "/bin/sleep 60; echo late")  # the child keeps the pipe open
    assert "did not finish within 0.2 s" in commands.run(["adb", "devices"], timeout_s=0.2).error


def test_a_tool_that_is_no_program_is_reported(tools):
    file = tools / "nvidia-smi"
    file.write_bytes(b"\x7fELFnot really")
    file.chmod(0o755)
    check = doctor._nvidia_gpu()
    assert not check.ok and check.mend


def test_an_android_device_without_permission_is_not_usable(tools):
    broken(tools, "adb", "printf 'List of devices attached\\nABC\\tunauthorized\\n'")
    check = doctor._android()
    assert not check.ok and "USB debugging" in check.mend


def test_an_android_device_is_listed_by_its_serial_number(tools):
    broken(tools, "adb", "printf 'List of devices attached\\nABC\\tdevice\\n'")
    check = doctor._android()
    assert check.ok and check.detail == "ABC"


def test_a_check_that_has_a_bug_is_a_row_and_not_a_traceback(monkeypatch):
    def fails() -> list[Check]:
        raise RuntimeError("driver\nconfused")

    for name in ("backends", "providers", "video", "packages", "compilers", "devices"):
        monkeypatch.setattr(doctor, f"check_{name}", lambda: [])
    monkeypatch.setattr(doctor, "check_sensors", fails)
    (check,) = doctor.examine()
    assert (check.kind, check.ok, check.mend) == ("sensor", False, "please report this")
    assert "RuntimeError: driver confused" in check.detail


def test_a_provider_that_crashes_its_process_is_a_row(monkeypatch):
    monkeypatch.setattr(
        doctor, "_isolated", lambda call: commands.run([sys.executable, "-c", "import os; os.abort()"])
    )
    assert not doctor.check_providers()[0].ok


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_the_tiny_model_runs_and_a_provider_that_is_not_there_is_refused(capsys):
    smoke.run_tiny_model("CPUExecutionProvider")
    assert "ran a tiny model" in capsys.readouterr().out
    with pytest.raises(Exception, match="NoSuchProvider"):
        smoke.run_tiny_model("NoSuchProvider")


def test_video_is_encoded_and_decoded(capsys):
    smoke.round_trip_video()
    assert "4 frames" in capsys.readouterr().out


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    doctor.check_compilers()
    assert os.listdir(tmp_path) == []
