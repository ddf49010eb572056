"""Where the time of a model goes, by ONNX Runtime's own profiler; ``profiler.profile`` is the entry point."""
