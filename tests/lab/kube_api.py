"""The objects of a Kubernetes API server, by their paths."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

Json = dict[str, Any]
_PATCH = "application/strategic-merge-patch+json"


def is_ready(thing: Json) -> bool:
    """Whether a pod or a node is ready."""
    conditions = thing.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def trusting_anyone() -> ssl.SSLContext:
    """For servers whose certificates are signed by themselves."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class KubeApi:
    """A client with all rights at ``server``; each method but ``serves`` raises OSError when it is refused."""

    def __init__(self, server: str, token: str) -> None:
        self._server, self._token, self._tls = server, token, trusting_anyone()

    def serves(self) -> bool:
        """Whether it answers and is ready."""
        try:
            return self._request("GET", "/readyz") == b"ok"
        except OSError:
            return False

    def get(self, path: str) -> Json:
        """An object or a list."""
        return dict(json.loads(self._request("GET", path)))

    def create(self, path: str, body: Json) -> Json:
        """Add an object to a list."""
        return dict(json.loads(self._request("POST", path, body)))

    def patch(self, path: str, body: Json) -> Json:
        """Change an object."""
        return dict(json.loads(self._request("PATCH", path, body)))

    def delete(self, path: str) -> None:
        """Delete an object, or all of a list, and then what they own."""
        self._request("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"})

    def log(self, pod: str) -> str:
        """What the only container of a pod in the namespace ``default`` has written."""
        return self._request("GET", f"/api/v1/namespaces/default/pods/{pod}/log").decode()

    def _request(self, method: str, path: str, body: Json | None = None) -> bytes:
        kind = _PATCH if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._server + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self._tls) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            error.add_note(error.read().decode(errors="replace"))
            raise
