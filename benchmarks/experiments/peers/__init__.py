"""Compare edgevid with other runtimes: ``python -m edgevid.benchmarks.experiments.peers --help``.

Every candidate (a peer with a network, such as OpenVINO with TSM) has the same weights and input, must match
the output of eager PyTorch before it is timed, and is timed interleaved with all others in one run: in each
round every candidate has one turn, in an order that is shuffled anew. A ratio is the median over rounds of
the ratio within a round, so whatever slows the machine for a while slows both of its terms.

Each candidate runs in a process of its own, which sleeps on a pipe between its turns. In a single process,
the threads of one runtime's pool would spin while another is timed and take its cores, OpenMP runtimes would
conflict, and peak memory could not be attributed. The parent calls one process at a time, and after each
response waits until that process's threads are asleep. The first inference of a turn is excluded, as the
other candidates have just used the caches.

Modules: ``cases`` (the candidates), ``networks`` (plain PyTorch, without edgevid's ops), ``prepare`` (the
files that candidates open), ``runners`` and ``executorch_worker`` (a runner for each peer),
``worker_protocol`` and ``worker_process`` (the two ends of the pipe), ``case_runner`` and ``rounds`` (the
run), ``bounds`` (verdicts from the samples), ``report``.
"""
