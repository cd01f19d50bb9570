"""The standard plugins, in process: config → validated frozen value → plan → netlink. One explicit registry.

How a plugin is built (``bridge`` is the model to follow):

1. ``config.py``: a frozen msgspec Struct with ``rename="camel"`` for its options; ``base.decode`` makes it out of the
   call and warns of unknown options. What depends on more than one option is validated there too. No I/O.
2. ``plan.py``: pure functions from config, previous or IPAM result and what was observed of the kernel to a tuple of
   effects (``net.effects``). Random names and MACs are arguments.
3. ``plugin.py`` (or the one module of a small plugin): a ``base.Plugin`` whose verbs delegate to IPAM, observe, plan
   and apply, all work of a verb on kernel and files in one call of ``net.sockets.run_in_own_thread``: unlike
   ``anyio.to_thread`` it is waited for even when the task is cancelled, so an undo never overtakes it.
4. An entry in ``registry``.

Packet filter rules go through ``net.nft.OwnedTable``, one table for each concern. Errors are CniError; an OSError out
of the kernel becomes one where the call leaves this package. DEL succeeds for what is gone already.
"""
