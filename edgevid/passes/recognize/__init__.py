"""Recognition of temporal ops that a network expresses in standard operators."""
