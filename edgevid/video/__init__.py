"""From video files and cameras to the input of a network; NumPy, PyAV and Pillow only."""

READER_THREADS = "edgevid-read"
"""How the names of the threads begin that may wait in FFmpeg for a network or a pipe."""
