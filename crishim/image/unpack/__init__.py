"""From a verified layer blob to a directory that overlayfs can use as a lower layer.

``source`` turns compressed bytes into a tar stream, ``header``, ``pax``, ``sparse`` and ``reader`` read that stream,
``names`` decides what an entry's name means, ``walk`` and ``lower`` find where it leads, ``steps`` counts how far;
``tree``, ``metadata`` and ``apply`` make the files. Blocking I/O throughout: the caller runs ``unpacker.unpack_layer``
in a worker thread. Every path is walked one component at a time, relative to an open directory and without following
links, so nothing in an archive can name a file outside it.
"""
