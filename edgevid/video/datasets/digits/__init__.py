"""A data set that any machine can make: real handwritten digits that move, in classes of time order.

The classes come in pairs, and a video of one is a video of the other backwards. So nothing but the order of
the frames tells them apart: a network that averages over frames is at chance within each pair.
"""
