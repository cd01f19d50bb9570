"""host-device: a device of the host goes into the pod, and comes back with DEL.

``config`` has the options and finds the device in sysfs, ``plugin`` has the verbs.
"""
