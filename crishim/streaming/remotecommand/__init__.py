"""Exec and attach: from the streams of a process to the channels that kubectl and crictl know.

``run`` does the copying and knows no transport; ``spdy`` and ``websocket`` bring it the channels of a connection.

Source: k8s.io/apimachinery 0.36, pkg/util/remotecommand.
"""
