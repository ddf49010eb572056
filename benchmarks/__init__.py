"""The benchmark harness: scenarios, clocks, memory, environment, statistics, reports.

A measurement runs in a process of its own (``worker``), which ``harness.measure`` starts and watches. The
worker opens the bundle, warms it up (``warmup``), runs a scenario (``scenarios``) and returns one result
of the shape that ``edgevid bench --json`` prints. Needs numpy, psutil and what opens the bundle; no torch.
"""
