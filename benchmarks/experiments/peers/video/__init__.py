"""Compare ``edgevid run`` with the script a user would write: ``python -m ...peers.video BUNDLE VIDEO...``.

``script.py`` is that script: OpenCV, decord or torchcodec decodes, OpenCV resizes, plain ONNX Runtime runs
the bundle's ``model.onnx``. It needs no edgevid, and may run in another environment (``--python``).

Every run is a fresh process. In each round every candidate runs once on the same file, in an order that is
shuffled anew, so that other load on the machine affects both terms of a ratio. Four numbers of each run
count: wall time per frame, from the first frame asked for to the last answer; from the start of the process
to its end; the processor time of all its threads, which other load disturbs least; and peak memory.
"""
