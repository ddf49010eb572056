"""TemporalConv: one filter of a few taps per channel over the frames of a clip."""
