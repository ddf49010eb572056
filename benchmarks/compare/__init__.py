"""``edgevid compare``: accuracy against latency of bundles and networks, in one interleaved run."""
