"""ChannelMean, ImageMean, Gate: feature excitation in blocked layout."""
