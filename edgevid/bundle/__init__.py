"""Bundles: reading, writing and checking an exported folder, which may come from an untrusted source."""
