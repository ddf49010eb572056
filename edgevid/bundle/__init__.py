"""The folder that travels: its files, its manifest, and what strangers may have put there."""
