"""conmon, the program that watches one container each: it outlives this server, and with it the container, its log
and its exit code.

Here: what it is told, starting it, what it reports, its control file and its attach socket. What it runs, and
when, is the business of ``drivers.oci``. Facts: conmon(8) and its behaviour, release 2.1.6.
"""
