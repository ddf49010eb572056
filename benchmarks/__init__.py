"""The benchmark harness: scenarios, clocks, memory, environment, statistics, reports."""
