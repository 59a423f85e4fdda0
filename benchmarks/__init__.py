"""How fast a zone is: `python -m benchmarks`, in one interleaved run, against the targets of its issue.

    __main__   the command line, and the rounds
    figure     one measured number with its target
    lab        what a run has: folder, private servers, zones; and it ends all of them
    zone       a running zone, its processes, their CPU time
    launch     bin/zone-manager with a ticker in it, which is what such a zone runs
    load       the load generator: wrk
    boots      POSTs accepted, and boots to ACTIVE, per second
    listing    a page of 1,000 servers
    tree       what a tree of zones adds to a boot, to news, to a request; a child that hangs
    wide       a root over a hundred children
    forest     a running tree of zones
    children   the hundred, as far as a parent asks
    hub        how long the hub of green threads is held
    messages   host reports taken in, beside bare kombu
    consumer   the process that takes them in
    memory     what the host table takes
    machine    what the figures were measured with
    report     the table and the JSON file
"""
