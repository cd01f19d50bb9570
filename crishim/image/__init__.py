"""Images: references, the registry client, pulling, unpacking, the content store.

Speaks HTTP to registries and keeps files under the image root; mounts and the database are reached through ``ports``.
"""
