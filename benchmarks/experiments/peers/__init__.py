"""edgevid against what else runs the same network: ``python -m edgevid.benchmarks.experiments.peers --help``.

Every contestant (a peer and a network, such as OpenVINO and TSM) has the same weights and the same input,
must give the answer of eager PyTorch before it is timed, and is timed in turns with all others in one run:
in each round every contestant has one turn, in an order that is shuffled anew. A ratio is the median over
rounds of the ratio within a round, so what slows the machine for a while slows both sides of it.

Each contestant lives in a process of its own, which sleeps on a pipe between its turns. In one process, the
threads of one runtime's pool would spin while another is timed and take the cores from it, OpenMP runtimes
would meet, and nobody's peak of memory could be told. The parent asks one process at a time, and after
each answer waits until that process's threads are asleep. The first inference of a turn is not counted:
the others have just been using the caches.

What is where: ``cases`` (the contestants), ``networks`` (ordinary PyTorch, no op of ours), ``prepare``
(files that the contestants open), ``runners`` and ``executorch_worker`` (one opener for each peer),
``serving`` and ``children`` (the two ends of the pipe), ``arena`` and ``rounds`` (the run), ``bounds`` (what
follows from the samples), ``report``.
"""
