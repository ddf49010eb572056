"""Finds the packages: ``kernels/``, ``benchmarks/`` and ``targets/`` install inside ``edgevid``."""

from setuptools import find_packages, setup

TOP_LEVEL = ("kernels", "benchmarks", "targets")

packages = [package for package in find_packages() if package.split(".")[0] == "edgevid"]
for folder in TOP_LEVEL:
    inside = find_packages(folder, exclude=["experiments*"])
    packages += [f"edgevid.{folder}", *(f"edgevid.{folder}.{package}" for package in inside)]

setup(packages=packages, package_dir={f"edgevid.{folder}": folder for folder in TOP_LEVEL})
