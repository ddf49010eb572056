"""From video files and cameras to the input of a network; NumPy, PyAV and Pillow only."""
