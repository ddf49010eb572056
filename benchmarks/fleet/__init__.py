"""``edgevid bench --matrix FILE.toml --scheduler ADDRESS``: the cells of a matrix on many devices at once.

The ``devices`` of the matrix are kinds of devices here. A Dask worker beside the devices says which it
reaches, with a resource for each: ``KIND:NAME`` is the worker's own machine, ``KIND:NAME:ADDRESS`` what
``--device`` reaches at an address::

    dask worker SCHEDULER --nthreads 2 --resources "nano:a:ssh://me@nano-a=1,nano:b:ssh://me@nano-b=1"

Which cell runs on which device is decided here, one at a time on each; Dask carries the work and watches.
"""
