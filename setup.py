"""Finds the packages, and compiles the kernels into a wheel where there is a C++ compiler.

``kernels/``, ``benchmarks/`` and ``targets/`` install inside ``edgevid``. A wheel with kernels is for one
platform, that of the compiler (``$CXX``); without one, a wheel is for all and kernels compile at first use.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

from setuptools import Distribution, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
TOP_LEVEL = ("kernels", "benchmarks", "targets")

sys.path.insert(0, str(ROOT))  # the build of the kernels needs edgevid.host
spec = importlib.util.spec_from_file_location("build_kernels", ROOT / "kernels" / "common" / "build.py")
kernels = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kernels)
compiler = kernels.find_compiler() if sys.platform == "linux" else None


class WithKernels(build_py):
    def run(self):
        super().run()
        folder = Path(self.build_lib, "edgevid", *kernels.INSTALLED.relative_to(ROOT).parts)
        shutil.rmtree(folder, ignore_errors=True)
        if compiler and not self.editable_mode and (library := kernels.library()):
            folder.mkdir()
            shutil.copy(library, folder)


class PlatformWheel(bdist_wheel):
    def get_tag(self):
        if self.root_is_pure:
            return super().get_tag()
        return "py3", "none", f"linux_{kernels.target_machine(tuple(compiler))}"


class WithLibrary(Distribution):
    def has_ext_modules(self):
        return compiler is not None


packages = [package for package in find_packages() if package.split(".")[0] == "edgevid"]
for name in TOP_LEVEL:
    inside = find_packages(name, exclude=["experiments*"])
    packages += [f"edgevid.{name}", *(f"edgevid.{name}.{package}" for package in inside)]

setup(
    packages=packages,
    package_dir={f"edgevid.{name}": name for name in TOP_LEVEL},
    distclass=WithLibrary,
    cmdclass={"build_py": WithKernels, "bdist_wheel": PlatformWheel},
)
