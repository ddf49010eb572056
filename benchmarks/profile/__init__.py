"""Where the time goes: ``edgevid bench --profile``; ``profile.measure`` is the entry point."""
