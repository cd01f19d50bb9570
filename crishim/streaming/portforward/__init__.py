"""Port-forward: from a client's streams to connections inside a pod.

``relay`` copies between one stream and one connection and knows no transport; ``spdy`` and ``websocket`` bring it the
streams of a client.

Source: k8s.io/apimachinery 0.36, pkg/util/portforward.
"""
