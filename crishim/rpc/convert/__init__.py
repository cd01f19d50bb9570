"""Pure conversions between protobuf messages and the model. No I/O; every refusal names the request's field."""
