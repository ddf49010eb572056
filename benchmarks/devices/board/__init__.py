"""What runs on a board: Python 3.6 or later and its standard library alone, sent there by ``program``.

Jetson boards come with a Python 3.6, 3.8 or 3.10 without any package.
"""
