"""The CRI over gRPC: thin handlers, one interceptor, pure conversions. The only place that knows protobuf."""
