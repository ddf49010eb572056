"""What ``edgevid bench`` measures with: scenarios, clocks, statistics, reports."""
