"""Conversion of 3D CNNs on volumes (N, C, T, H, W) to per-frame 2D CNNs on (N*T, C, H, W)."""
