"""``edgevid eval``: the accuracy of a bundle on a labelled data set, by a test protocol.

Threads read videos (``readers``, ``views``) a few views ahead of the network (``network``); each video gives
a ``Record``, from which the figures are computed at the end (``metrics``, ``report``), whoever predicted it:
this process, an earlier one that was killed (``journal``) or the workers of a cluster (``cluster``).
"""
