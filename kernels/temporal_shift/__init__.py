"""The stand-alone temporal shift: its numpy reference and its C++."""
