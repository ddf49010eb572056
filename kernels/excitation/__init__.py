"""ChannelMean, ImageMean, Gate: excitations of features, in blocks."""
