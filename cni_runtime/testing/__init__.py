"""What tests need and users of this library may use in theirs: fakes of its ports, and hosts to throw away."""
