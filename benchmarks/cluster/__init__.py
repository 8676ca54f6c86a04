"""Benchmarks on a real Knative cluster: our functions, and beside them what one would use instead, in one run.

    site       a tenant of its own on the cluster, with one chain that has ended
    beside     the Services that ours are compared with: like ours in all but their code
    line       a connection to an ingress, as a client or a Broker has one
    zero       going to zero, and waiting for it
    hops       events that a function has been given before, and that were done
    results    a row that allows a difference; how times are written

Groups: ``cold``, ``heavy``, ``hop``, ``broker``, ``images``, ``chains``.
"""
