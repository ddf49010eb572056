"""From a network to a bundle: ``pipeline.export`` is the column of steps."""
