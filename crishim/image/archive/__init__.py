"""Importing image archives: tar files with an OCI layout, or as ``docker save`` makes them, packed or not.

``file`` finds members without unpacking anything, ``layout`` reads what an archive says about its images, ``load``
brings them into the store through the same checks that a pull makes.
"""
