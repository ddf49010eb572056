"""``edgevid bench --detach`` and ``--collect``: measurements that go on without a connection to the board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edgevid.benchmarks.harness.protocol import Progress, Request
from edgevid.cli import BAD_INPUT
from edgevid.cli.measuring import progress_of
from edgevid.errors import BenchmarkError, EdgevidError
from edgevid.specs.records import UNPRINTABLE


def check_device(address: str, option: str) -> None:
    """``BenchmarkError`` unless the device can measure alone."""
    from edgevid.benchmarks.devices import FORMS, is_device

    if not is_device(address):
        raise BenchmarkError(f"{option} is for boards that measure alone: use it with --device {FORMS}")


def detach(address: str, requests: Sequence[Request]) -> None:
    """Let the board at ``address`` measure ``requests`` by itself."""
    from edgevid.benchmarks.devices import device_at

    with device_at(address) as device, progress_of(address) as show:
        device.detach(requests, lambda event: show(_progress(event)))
    click.echo(
        f"{address} measures {len(requests)} time(s) alone: fetch the results with "
        f"'edgevid bench --device {address} --collect'",
        err=True,
    )


def collect(address: str, keep: Any) -> int:
    """Hand the results of ``address`` to ``keep``, then remove them there; returns the exit status."""
    from edgevid.benchmarks.devices import device_at

    results, status = [], 0
    with device_at(address) as device:
        entries = device.finished()
        for entry in entries:
            title = f"{Path(entry['request']['bundle']).name} {entry['request']['scenario']}"
            try:
                results.append(device.result(entry))
            except EdgevidError as error:
                click.echo(f"edgevid: {UNPRINTABLE.sub('?', f'{title} failed there: {error}')}", err=True)
                status = BAD_INPUT
        if not entries:
            click.echo(f"nothing has finished on {address} since the last --collect", err=True)
        keep(results)
        device.forget(entries)
    return status


def _progress(event: dict[str, Any]) -> Progress:
    return Progress(**{key: value for key, value in event.items() if key != "event"})
