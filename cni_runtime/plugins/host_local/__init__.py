"""host-local: addresses out of ranges, reserved in files on this host.

``config`` and ``ranges`` are pure, ``store`` and ``lock`` keep the files, ``plugin`` has the verbs. Files, names and
the lock are those of the reference plugin, so both can work on one directory at the same time.
"""
