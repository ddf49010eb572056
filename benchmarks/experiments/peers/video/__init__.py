"""Compare ``edgevid run`` with the script a user would write: ``python -m ...peers.video BUNDLE VIDEO...``.

``script.py`` is that script: OpenCV, decord, torchcodec or GStreamer decodes, OpenCV resizes, plain ONNX
Runtime runs the bundle's ``model.onnx`` or ``model.int8.onnx``. It needs no edgevid, and may run in another
environment (``--python``): for GStreamer, Debian's python3-gi, gstreamer1.0-plugins-base and
gstreamer1.0-libav, and a virtual environment with ``--system-site-packages``. Decoding alone, on all cores,
is the floor of a stream.

Every run is a fresh process. In each round every candidate runs once on the same file, in an order that is
shuffled anew, so that other load on the machine affects both terms of a ratio. Four numbers of each run
count: wall time per frame, from the first frame asked for to the last answer; from the start of the process
to its end; the processor time of all its threads, which other load disturbs least; and peak memory.
"""
