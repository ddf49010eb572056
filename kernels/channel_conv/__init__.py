"""ChannelConv: a filter over neighbouring channels, the same at every pixel."""
