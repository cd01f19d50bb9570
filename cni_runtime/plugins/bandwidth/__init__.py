"""bandwidth: limits for what a pod sends and receives, set at the host's end of its veth pair.

The host's end sends what the pod receives (ingress), and receives what the pod sends (egress). ``config`` has the
options, the kernel's parameters and the plan, ``plugin`` the verbs.
"""
