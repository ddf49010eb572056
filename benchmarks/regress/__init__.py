"""``edgevid regress``: is a bundle slower than another, decided from pairs of fresh processes."""
