"""From a network to a bundle, as a column of steps."""

from __future__ import annotations

import contextlib
import gc
import inspect
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import torch

from edgevid import parity
from edgevid.bundle.bundle import Bundle, write_manifest, writing
from edgevid.exporter.check import check_compiled
from edgevid.exporter.companions import compile_all
from edgevid.exporter.describe import describe, write_labels
from edgevid.exporter.dynamic import write_dynamic
from edgevid.exporter.example import Example, eager_example
from edgevid.exporter.explain import with_maps, write_explain
from edgevid.exporter.graph import rewrite, trace_network
from edgevid.exporter.job import calibrate, make_job, read_clips
from edgevid.exporter.lint import lint
from edgevid.exporter.network import build_network
from edgevid.exporter.request import make_request
from edgevid.specs.export_options import ExportOptions

log = logging.getLogger("edgevid")


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Tracing makes millions of long-lived objects; collecting garbage takes a seventh of an export."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@collector_paused()
def export(
    model: str | torch.nn.Module,
    target: str = "cpu",
    output: str | os.PathLike | None = None,
    *,
    progress: Callable[[str], None] = lambda step: None,
    **options: Any,
) -> Bundle:
    """Export a network to a bundle, after comparing its outputs with PyTorch's.

    ``model`` is a name, ``package.module:callable`` or a module. ``options`` are the fields of
    ``ExportOptions``: backend, weights, classes, frames, size, stream, precision and others. ``output`` is
    the bundle's folder, written atomically. ``progress`` is called with a short text at each step. Raises
    ``EdgevidError``, whose message says what to do; its subclass ``ParityError`` if the exported model does
    not compute what PyTorch does.
    """
    request = make_request(model, target, output, ExportOptions.of(options))
    progress(f"building {request.spec.name}")
    network = build_network(request)
    request = request.with_preprocessing(network.preprocessing)
    example = eager_example(network.module, request)
    warnings = lint(network.module, example, request)
    for sentence in warnings:
        log.warning(sentence)
    clips = read_clips(request, progress)
    progress("tracing")
    traced = trace_network(network.module, request, example)
    progress("rewriting the graph")
    graph = rewrite(traced, request, example)
    explained = with_maps(request, graph)
    calibration = calibrate(network.module, request, graph, clips, progress)
    if calibration:  # int8 is compared on real clips, not on noise
        example = Example(calibration.clips.held_out[0], calibration.expected[0])
    with writing(request.output) as folder:
        job = make_job(request, graph, example, calibration)
        compiled = compile_all(request, graph.model, job, folder, progress)
        compiled = write_dynamic(network.module, request, example, compiled, folder)
        compiled = write_explain(network.module, request, example, graph, explained, compiled, folder)
        progress("comparing with PyTorch")
        checked = check_compiled(compiled, folder, request, example, graph.states, calibration)
        parity.save(folder, example.array, example.outputs)
        labels = write_labels(request, example.classes, folder)
        manifest = describe(
            request, network, example, graph, compiled, calibration, checked, labels=labels, warnings=warnings
        )
        write_manifest(folder, manifest)
    return Bundle.open(request.output)


def _signature() -> inspect.Signature:
    """``export`` with each option as a keyword argument, for help() and editors."""
    parameters = list(inspect.signature(export).parameters.values())[:-1]
    options = [
        inspect.Parameter(
            option.name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=option.type
        )
        for option in fields(ExportOptions)
    ]
    return inspect.Signature([*parameters, *options], return_annotation=Bundle)


export.__signature__ = _signature()
