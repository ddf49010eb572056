"""Networks of volumes (N, C, T, H, W) as networks of frames (N*T, C, H, W)."""
