"""The benchmark harness: scenarios, clocks, memory, environment, statistics, reports.

A measurement runs in a process of its own (``worker``), which ``harness.measure`` starts and monitors. The
worker opens the bundle, warms it up (``warmup``), runs a scenario (``scenarios``) and returns one result in
the format of ``edgevid bench --json``. Needs numpy, psutil and the bundle's runtime; no torch.
"""
