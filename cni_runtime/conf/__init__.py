"""Network configuration: typed parsing, discovery in a directory, watching, capability injection.

Reads files, touches nothing else. Every error names the file and the path of the object in it.
"""
