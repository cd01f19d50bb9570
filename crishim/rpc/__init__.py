"""The CRI over gRPC: thin handlers, one interceptor, pure conversions. The only place that knows protobuf."""

import os

# gRPC's newer listener wakes one thread more for every message, and with it a call takes 7 % longer. The library reads
# this when it is first used.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
