"""Trains networks of the zoo on decoded videos: ``edgevid train``.

``recipe`` says how, ``clips`` and ``augment`` make batches, ``objective`` is the loss, ``optimizer`` and
``norms`` treat kinds of layers as the recipes do, ``loop`` runs the epochs and ``checkpoint`` keeps them.
"""
