"""Speaking to registries: which hosts stand for a name, how they are authenticated to, and the requests themselves.

``hosts`` reads hosts.toml, ``challenge`` and ``auth`` answer 401, ``transport`` owns the connections and sends one
request, ``retry`` says when to try again, ``client`` has what a pull needs: resolve, document, download.
Source: OCI distribution specification 1.1; Docker registry token authentication.
"""
