"""Random arrivals, and the latencies of a simulated queue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def arrivals_ns(rate_per_s: float, count: int, seed: int) -> np.ndarray:
    """The arrival times of a Poisson process, int64 ``(count,)``; the same for a seed whatever the rate."""
    gaps = np.random.default_rng(seed).exponential(1e9, count) / rate_per_s
    return np.cumsum(gaps).astype(np.int64)


def queue_latencies_ns(arrivals: np.ndarray, service_ns: np.ndarray) -> np.ndarray:
    """Latencies of a queue with one server, first come first served.

    Query i is done at ``max(arrival_i, done_{i-1}) + service_i`` (Lindley's recursion), that is at
    ``S_i + max_{j <= i} (arrival_j - S_{j-1})`` with S the running sum of service times.
    """
    total = np.cumsum(service_ns)
    return total + np.maximum.accumulate(arrivals - (total - service_ns)) - arrivals


def predicted_rate(
    service_ns: Sequence[int], bound_ns: int, seed: int, queries: int = 20_000, percentile: float = 99.0
) -> float:
    """The highest rate whose simulated ``percentile`` of the latency keeps ``bound_ns``.

    At least a twentieth of the capacity, and at most the capacity.
    """
    service = np.random.default_rng(seed).choice(np.asarray(service_ns, dtype=np.int64), queries)
    capacity = 1e9 / service.mean()
    low, high = 0.05 * capacity, capacity
    for _ in range(12):
        rate = (low * high) ** 0.5
        latencies = queue_latencies_ns(arrivals_ns(rate, queries, seed), service)
        if np.percentile(latencies, percentile) <= bound_ns:
            low = rate
        else:
            high = rate
    return float(low)
