"""The 3x3 convolution of stride 1 by Winograd's minimal filtering: its numpy reference and its C++."""
