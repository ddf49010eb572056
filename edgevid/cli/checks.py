"""What works on this machine: everything is tried, and each failure comes with a remedy.

Each check is a function that returns rows. Whatever could hang or crash (a driver, a codec, a compiler) runs
in a process of its own with a time limit, so that a broken tool is a row of the table and not a crash.
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
from edgevid.host.commands import CommandResult, run
from edgevid.host.probes import PROBES
from edgevid.host.processor import architecture, board, describe_cpu

LIMIT_S = 4.0
CORE = (("provider", "CPUExecutionProvider"), ("video", "encode and decode"))
"""Without these edgevid can neither run bundles nor read videos, and ``edgevid doctor`` exits with 1."""

EXTRA_PACKAGES = {
    **dict.fromkeys(("torch", "onnx", "onnx-ir", "onnxscript"), "pip install 'edgevid[export]'"),
    "apache-tvm": "pip install 'edgevid[tvm]' (only for --backend tvm)",
    "tensorrt-rtx": "pip install 'edgevid[tensorrt]' (optional: counts kernels in TensorRT's plans)",
    "nvidia-ml-py": "pip install 'edgevid[power]' (optional: the power of NVIDIA GPUs)",
    "triton": "pip install 'edgevid[triton]' (optional: the fused shift on NVIDIA GPUs)",
    "av": "pip install av",
    "openvino": "pip install openvino (optional: only to compare with it)",
}
MODULES = {
    "nvidia-ml-py": "pynvml",
    "onnx-ir": "onnx_ir",
    "apache-tvm": "tvm",
    "tensorrt-rtx": "tensorrt_rtx",
}

HOST_COMPILERS = {
    "gcc": "install gcc (Debian: apt install gcc)",
    "g++": "install g++ (Debian: apt install g++)",
    "clang": "install clang (Debian: apt install clang), or use g++",
}
CROSS_COMPILERS = {
    "aarch64-linux-gnu-g++": "install an arm64 cross compiler (Debian: apt install g++-aarch64-linux-gnu)",
    "nvcc": "install the CUDA toolkit (https://developer.nvidia.com/cuda-downloads), or build on the device",
}
PROGRAM = "int main(void) { return 0; }\n"


@dataclass(frozen=True)
class Check:
    """One row: ``detail`` is a version or the reason for a failure, ``mend`` the remedy for one."""

    kind: str
    name: str
    ok: bool
    detail: str
    mend: str = ""


def examine() -> list[Check]:
    """Run every check, in parallel; never raises because a tool is broken."""
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
    """Whether this machine can run bundles and read videos."""
    working = {(check.kind, check.name) for check in checks if check.ok}
    return all(needed in working for needed in CORE)


def as_json(checks: list[Check]) -> dict[str, Any]:
    """The document of ``edgevid doctor --json``."""
    return {"checks": [asdict(check) for check in checks]}


def check_backends() -> list[Check]:
    """Each backend reports whether it is available."""
    from edgevid.backends import BACKENDS

    rows = []
    for backend in BACKENDS.values():
        state = backend.available()
        detail = (state.what or "available") if state.ok else (state.why or state.what)
        rows.append(Check("backend", backend.name, state.ok, detail, "" if state.ok else state.remedy))
    return rows


def check_providers() -> list[Check]:
    """Run a tiny model on each execution provider of this ONNX Runtime."""
    providers = _isolated("print_providers()")
    if not providers.ok:
        return [Check("provider", "CPUExecutionProvider", False, providers.error, "pip install onnxruntime")]
    return _in_parallel(_check_provider, providers.output.split())


def check_video() -> list[Check]:
    result = _isolated("round_trip_video()")
    return [_check_of("video", "encode and decode", result, "pip install --force-reinstall av")]


def check_packages() -> list[Check]:
    """The packages of the extras and their versions, without importing them: torch alone takes seconds."""
    rows = []
    for package, remedy in EXTRA_PACKAGES.items():
        try:
            version = importlib.metadata.version(package)
            installed = importlib.util.find_spec(MODULES.get(package, package)) is not None
        except (importlib.metadata.PackageNotFoundError, ValueError):
            installed = False
        detail = f"{version} is installed" if installed else "not installed"
        rows.append(Check("package", package, installed, detail, "" if installed else remedy))
    return rows


def check_compilers() -> list[Check]:
    """Compile a tiny program with each compiler, and run those built for this machine."""
    with tempfile.TemporaryDirectory(prefix="edgevid-doctor-") as folder:
        return _in_parallel(
            lambda item: _check_compiler(item[0], item[1], Path(folder), execute=item[0] in HOST_COMPILERS),
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
        camera = Check("device", "camera", False, f"no permission for {cameras[0]}", "join the group 'video'")
    else:
        camera = Check("device", "camera", False, "no /dev/video*", "connect a camera, or use --video FILE")
    tools = _in_parallel(lambda check: check(), [_nvidia_gpu, _android, _qemu, _boards_over_rpc])
    return [Check("device", "CPU", True, summary), tools[0], camera, *tools[1:]]


def check_sensors() -> list[Check]:
    rows = []
    for probe in PROBES.values():
        state = probe.available()
        detail = state.what if state.ok else state.why
        rows.append(Check("sensor", probe.name, state.ok, detail, "" if state.ok else state.remedy))
    zones = thermal.temperatures_c()
    detail = ", ".join(f"{name} {value:.0f} °C" for name, value in zones.items()) or thermal.NO_SENSOR
    remedy = "" if zones else "normal in a virtual machine; elsewhere load the sensor's kernel module"
    return [*rows, Check("sensor", "temperature", bool(zones), detail, remedy)]


def _guarded(kind: str, check: Callable[[], list[Check]]) -> list[Check]:
    """Run ``check``; any exception becomes a row that reports it."""
    try:
        return check()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return [Check(kind, "check", False, f"the check itself failed: {reason}", "please report this")]


def _check_of(kind: str, name: str, result: CommandResult, remedy: str) -> Check:
    return Check(kind, name, result.ok, result.output or result.error, "" if result.ok else remedy)


def _isolated(call: str) -> CommandResult:
    """Call a function of ``smoke`` in a fresh interpreter; its last line on stderr is the error."""
    code = f"from edgevid.cli import smoke; smoke.{call}"
    return run([sys.executable, "-c", code], timeout_s=LIMIT_S)


def _in_parallel(check: Callable[[Any], Check], items: list[Any]) -> list[Check]:
    """Check all ``items`` at once, so that the time limits of those that hang do not add up."""
    with ThreadPoolExecutor(max_workers=max(1, len(items))) as pool:
        return list(pool.map(check, items))


def _check_provider(name: str) -> Check:
    if name == "AzureExecutionProvider":
        detail = "sends inference to a remote service and computes nothing here"
        return Check("provider", name, False, detail, "nothing to do: edgevid does not use it")
    remedy = f"install the libraries that {name} needs, or pip install onnxruntime"
    return _check_of("provider", name, _isolated(f"run_tiny_model({name!r})"), remedy)


def _check_compiler(name: str, remedy: str, folder: Path, execute: bool) -> Check:
    suffix = {"gcc": ".c", "clang": ".c", "nvcc": ".cu"}.get(name, ".cpp")
    source, program = folder / f"{name}{suffix}", folder / name
    source.write_text(PROGRAM)
    # nvcc links against libraries of the toolkit, which compiling a kernel for a bundle does not need.
    options = ["-c"] if name == "nvcc" else []
    compilation = run([name, *options, str(source), "-o", str(program)], timeout_s=LIMIT_S)
    if not compilation.ok:
        return Check("compiler", name, False, compilation.error, remedy)
    if execute:
        execution = run([str(program)], timeout_s=LIMIT_S)
        if not execution.ok:
            detail = f"compiles, but the program does not run: {execution.error}"
            return Check("compiler", name, False, detail, remedy)
    version = run([name, "--version"], timeout_s=LIMIT_S).output.splitlines()
    title = version[3] if name == "nvcc" and len(version) > 3 else (version or [""])[0]
    return Check("compiler", name, True, f"{title}: compiled{' and ran' if execute else ''} a program")


def _nvidia_gpu() -> Check:
    result = run(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"])
    output = "; ".join(result.output.splitlines())
    if result.ok and output:
        return Check("device", "NVIDIA GPU", True, output)
    remedy = "install the NVIDIA driver, if there is such a GPU"
    return Check("device", "NVIDIA GPU", False, result.error or "none found", remedy)


def _android() -> Check:
    result = run(["adb", "devices"])
    serials = [line.split()[0] for line in result.output.splitlines()[1:] if line.endswith("\tdevice")]
    if result.ok and serials:
        return Check("device", "Android (adb)", True, ", ".join(serials))
    remedy = (
        "connect the device and allow USB debugging" if result.ok else "install adb (Android platform tools)"
    )
    return Check("device", "Android (adb)", False, result.error or "no device is connected", remedy)


def _qemu() -> Check:
    if architecture() == "aarch64":
        return Check("device", "arm64 emulation (qemu)", True, "not needed: this machine is arm64")
    for program in ("qemu-aarch64-static", "qemu-aarch64"):
        result = run([program, "--version"])
        if result.ok:
            return Check("device", "arm64 emulation (qemu)", True, result.output.splitlines()[0])
    remedy = "install QEMU's user-mode emulation (Debian: apt install qemu-user-static)"
    return Check("device", "arm64 emulation (qemu)", False, result.error, remedy)


def _boards_over_rpc() -> Check:
    """Whether TVM's RPC client can be loaded; without an address no tracker can be queried."""
    name = "boards over TVM's RPC"
    if importlib.util.find_spec("tvm") is None:
        return Check("device", name, False, "TVM is not installed", "pip install 'edgevid[tvm]'")
    # TVM's FFI would import PyTorch, which takes seconds.
    program = "import sys; sys.modules['torch'] = None; from tvm import rpc; rpc.connect"
    result = run([sys.executable, "-c", program], timeout_s=3 * LIMIT_S)
    if not result.ok:
        return Check("device", name, False, result.error, "pip install --force-reinstall 'edgevid[tvm]'")
    return Check("device", name, True, "use 'edgevid bench BUNDLE --device rpc://HOST:PORT/KEY'")
