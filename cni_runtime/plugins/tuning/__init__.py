"""tuning: sysctls of the pod's namespace, and settings of its interface that DEL changes back.

``config`` has the options and the allow-list, ``plan`` the effects and what CHECK compares, ``plugin`` the verbs.
"""
