"""ChannelConv compiled by itself, for its tests and benchmark."""
