"""How a pod got its IP, out of the attachment records and the kernel: facts first, then a picture of them.

``facts`` reads, ``picture`` draws; neither changes anything.
"""
