"""TemporalDifference: the difference of each frame from the one before it."""
