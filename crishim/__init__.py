"""crishim: a Kubernetes container runtime service (CRI v1) with an embedded CNI runtime.

``app`` composes; ``rpc`` and ``streaming`` speak to the outside; ``sandbox``, ``container`` and ``image``
hold the behaviour, one file per verb; ``drivers`` touch the machine; ``model`` and ``core`` are values.
"""

__version__ = "0.1.0"
