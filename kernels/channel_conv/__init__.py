"""ChannelConv: a filter over neighboring channels, the same at every pixel."""
