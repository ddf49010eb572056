"""Optimize a model for this CPU with edgevid's kernels; ``pipeline.specialize`` lists the steps in order."""
