"""tuning: sysctls of the pod's namespace, and settings of its interface that DEL changes back.

``config`` has the options and the allow-list, ``plugin`` the effects and the verbs.
"""
