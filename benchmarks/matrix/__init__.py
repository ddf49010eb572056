"""``edgevid bench --matrix FILE.toml``: measurements one after another, and a journal to continue from."""
