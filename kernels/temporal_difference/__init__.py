"""TemporalDifference: how much each frame differs from the one before it."""
