"""OCI runtimes: making, starting, changing and ending containers through crun, runc or another one.

A container is made by its own monitor (``drivers.conmon``); every other command is run from here. What is known of
each container is noted on disk before it is made, so that after a crash of this server everything of it is found.
Facts: the OCI runtime specification, and the command line that crun and runc share.
"""
