"""What works on this machine: every claim is tried, and what does not work says how to mend it.

Each check is a function that returns rows. What could hang or crash (a driver, a codec, a compiler) runs in
a process of its own with a time limit, so that a broken tool is a row of the table and not the end of it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevid.host import thermal
from edgevid.host.commands import ask
from edgevid.host.probes import PROBES
from edgevid.host.processor import architecture, board, describe_cpu

LIMIT_S = 4.0
CORE = (("provider", "CPUExecutionProvider"), ("video", "encode and decode"))
"""Without these edgevid can neither run a bundle nor read a video: ``edgevid doctor`` exits with 1."""

EXTRA_PACKAGES = {
    **dict.fromkeys(("torch", "onnx", "onnx-ir", "onnxscript"), "pip install 'edgevid[export]'"),
    "apache-tvm": "pip install 'edgevid[tvm]' (only for --backend tvm)",
    "tensorrt-rtx": "pip install 'edgevid[tensorrt]' (optional: counts kernels in TensorRT's plans)",
    "triton": "pip install 'edgevid[triton]' (optional: the fused shift on NVIDIA GPUs)",
    "av": "pip install av",
    "openvino": "pip install openvino (optional: only to compare with it)",
}
MODULES = {"onnx-ir": "onnx_ir", "apache-tvm": "tvm", "tensorrt-rtx": "tensorrt_rtx"}

HOST_COMPILERS = {
    "gcc": "install gcc (Debian: apt install gcc)",
    "g++": "install g++ (Debian: apt install g++)",
    "clang": "install clang (Debian: apt install clang); g++ does as well",
}
CROSS_COMPILERS = {
    "aarch64-linux-gnu-g++": "install an arm64 cross compiler (Debian: apt install g++-aarch64-linux-gnu)",
    "nvcc": "install the CUDA toolkit (https://developer.nvidia.com/cuda-downloads), or build on the device",
}
PROGRAM = "int main(void) { return 0; }\n"


@dataclass(frozen=True)
class Check:
    """One row: ``detail`` is a version or the reason, ``mend`` what to do (empty if it works)."""

    kind: str
    name: str
    ok: bool
    detail: str
    mend: str = ""


def examine() -> list[Check]:
    """Try everything, several things at a time; never raises because a tool is broken."""
    kinds = {
        "backend": check_backends,
        "provider": check_providers,
        "video": check_video,
        "package": check_packages,
        "compiler": check_compilers,
        "device": check_devices,
        "sensor": check_sensors,
    }
    with ThreadPoolExecutor(max_workers=len(kinds)) as pool:
        return [check for checks in pool.map(_guarded, kinds, kinds.values()) for check in checks]


def core_works(checks: list[Check]) -> bool:
    """Whether a bundle can be run and a video be read here."""
    working = {(check.kind, check.name) for check in checks if check.ok}
    return all(needed in working for needed in CORE)


def as_json(checks: list[Check]) -> dict[str, Any]:
    """What ``edgevid doctor --json`` prints."""
    return {"checks": [asdict(check) for check in checks]}


def check_backends() -> list[Check]:
    """Each backend of the table says by itself whether it can be used."""
    from edgevid.backends import BACKENDS

    rows = []
    for backend in BACKENDS.values():
        state = backend.available()
        detail = (state.what or "available") if state.ok else (state.why or state.what)
        rows.append(Check("backend", backend.name, state.ok, detail, "" if state.ok else state.mend))
    return rows


def check_providers() -> list[Check]:
    """Run a tiny model on each execution provider that this ONNX Runtime was built with."""
    listed = _isolated("print_providers()")
    if not listed.ok:
        return [Check("provider", "CPUExecutionProvider", False, listed.why, "pip install onnxruntime")]
    return _side_by_side(_try_provider, listed.output.split())


def check_video() -> list[Check]:
    tried = _isolated("round_trip_video()")
    mend = "" if tried.ok else "pip install --force-reinstall av"
    return [Check("video", "encode and decode", tried.ok, tried.output if tried.ok else tried.why, mend)]


def check_packages() -> list[Check]:
    """The packages of the extras: found and their version read, not imported (torch alone takes seconds)."""
    rows = []
    for package, mend in EXTRA_PACKAGES.items():
        try:
            version = importlib.metadata.version(package)
            found = importlib.util.find_spec(MODULES.get(package, package)) is not None
        except (importlib.metadata.PackageNotFoundError, ValueError):
            found = False
        detail = f"{version} is installed" if found else "not installed"
        rows.append(Check("package", package, found, detail, "" if found else mend))
    return rows


def check_compilers() -> list[Check]:
    """Compile a tiny program with each; what is built for this machine is run as well."""
    with tempfile.TemporaryDirectory(prefix="edgevid-doctor-") as folder:
        return _side_by_side(
            lambda item: _compile(item[0], item[1], Path(folder), run=item[0] in HOST_COMPILERS),
            [*HOST_COMPILERS.items(), *CROSS_COMPILERS.items()],
        )


def check_devices() -> list[Check]:
    cpu, _ = describe_cpu()
    where = f"{board()}: " if board() else ""
    sets = ", ".join(cpu["instruction_sets"]) or "no known instruction set extensions"
    summary = f"{where}{cpu['model']}, {cpu['architecture']}, {cpu['usable_cores']} cores; {sets}"
    cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    readable = [path for path in cameras if os.access(path, os.R_OK | os.W_OK)]
    if readable:
        camera = Check("device", "camera", True, ", ".join(readable))
    elif cameras:
        camera = Check("device", "camera", False, f"no right to use {cameras[0]}", "join the group 'video'")
    else:
        camera = Check("device", "camera", False, "no /dev/video*", "connect a camera, or use --video FILE")
    return [
        Check("device", "CPU", True, summary),
        _from_command(
            "NVIDIA GPU",
            ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
            "install the NVIDIA driver, if there is such a GPU",
        ),
        camera,
        _android(),
        _qemu(),
        _boards_over_rpc(),
    ]


def check_sensors() -> list[Check]:
    rows = []
    for probe in PROBES.values():
        here = probe.available()
        detail = here.what if here.ok else here.why
        rows.append(Check("sensor", probe.name, here.ok, detail, "" if here.ok else here.mend))
    zones = thermal.temperatures_c()
    detail = ", ".join(f"{name} {value:.0f} °C" for name, value in zones.items()) or thermal.WHY_NONE
    mend = "" if zones else "nothing to mend in a virtual machine; elsewhere load the sensor's kernel module"
    return [*rows, Check("sensor", "temperature", bool(zones), detail, mend)]


def _guarded(kind: str, check: Callable[[], list[Check]]) -> list[Check]:
    """The boundary where any failure of a check, whatever it is, becomes a row that tells it."""
    try:
        return check()
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return [Check(kind, "check", False, f"the check itself failed: {why}", "please report this")]


def _isolated(call: str) -> Any:
    """Call a function of ``smoke`` in a fresh interpreter; its last line on stderr is the reason."""
    code = f"from edgevid.cli import smoke; smoke.{call}"
    return ask([sys.executable, "-c", code], timeout_s=LIMIT_S)


def _side_by_side(check: Callable[[Any], Check], items: list[Any]) -> list[Check]:
    """Several at a time, so that one which hangs does not add its time limit to that of another."""
    with ThreadPoolExecutor(max_workers=max(1, len(items))) as pool:
        return list(pool.map(check, items))


def _try_provider(name: str) -> Check:
    if name == "AzureExecutionProvider":
        detail = "sends inference to a remote service and computes nothing here"
        return Check("provider", name, False, detail, "nothing to mend: edgevid does not use it")
    tried = _isolated(f"run_tiny_model({name!r})")
    mend = "" if tried.ok else f"install the libraries that {name} needs, or pip install onnxruntime"
    return Check("provider", name, tried.ok, tried.output if tried.ok else tried.why, mend)


def _compile(name: str, mend: str, folder: Path, run: bool) -> Check:
    suffix = {"gcc": ".c", "clang": ".c", "nvcc": ".cu"}.get(name, ".cpp")
    source, program = folder / f"{name}{suffix}", folder / name
    source.write_text(PROGRAM)
    # nvcc links against libraries of the toolkit, which compiling a kernel for a bundle does not need.
    options = ["-c"] if name == "nvcc" else []
    built = ask([name, *options, str(source), "-o", str(program)], timeout_s=LIMIT_S)
    if not built.ok:
        return Check("compiler", name, False, built.why, mend)
    if run:
        ran = ask([str(program)], timeout_s=LIMIT_S)
        if not ran.ok:
            return Check("compiler", name, False, f"compiles, but the program does not run: {ran.why}", mend)
    version = ask([name, "--version"], timeout_s=LIMIT_S).output.splitlines()
    described = version[3] if name == "nvcc" and len(version) > 3 else (version or [""])[0]
    return Check("compiler", name, True, f"{described}: compiled{' and ran' if run else ''} a program")


def _from_command(name: str, command: list[str], mend: str) -> Check:
    answer = ask(command)
    seen = "; ".join(answer.output.splitlines())
    ok = answer.ok and bool(seen)
    return Check("device", name, ok, seen if ok else answer.why or "none found", "" if ok else mend)


def _android() -> Check:
    answer = ask(["adb", "devices"])
    serials = [line.split()[0] for line in answer.output.splitlines()[1:] if line.endswith("\tdevice")]
    if answer.ok and serials:
        return Check("device", "Android (adb)", True, ", ".join(serials))
    mend = (
        "connect the device and allow USB debugging" if answer.ok else "install adb (Android platform tools)"
    )
    return Check("device", "Android (adb)", False, answer.why or "no device is connected", mend)


def _qemu() -> Check:
    if architecture() == "aarch64":
        return Check("device", "arm64 emulation (qemu)", True, "not needed: this machine is arm64")
    for program in ("qemu-aarch64-static", "qemu-aarch64"):
        answer = ask([program, "--version"])
        if answer.ok:
            return Check("device", "arm64 emulation (qemu)", True, answer.output.splitlines()[0])
    mend = "install qemu for user programs (Debian: apt install qemu-user-static)"
    return Check("device", "arm64 emulation (qemu)", False, answer.why, mend)


def _boards_over_rpc() -> Check:
    """Whether TVM's client can be loaded; no tracker is known that could be asked."""
    name = "boards over TVM's RPC"
    if importlib.util.find_spec("tvm") is None:
        return Check("device", name, False, "TVM is not installed", "pip install 'edgevid[tvm]'")
    answer = ask([sys.executable, "-c", "from tvm import rpc; rpc.connect"], timeout_s=3 * LIMIT_S)
    if not answer.ok:
        return Check("device", name, False, answer.why, "pip install --force-reinstall 'edgevid[tvm]'")
    return Check("device", name, True, "'edgevid bench BUNDLE --device rpc://HOST:PORT/KEY' asks for one")
