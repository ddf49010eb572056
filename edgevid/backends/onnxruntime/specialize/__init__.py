"""What makes a session on the CPU fast: ``pipeline.specialise`` is the column of steps."""
