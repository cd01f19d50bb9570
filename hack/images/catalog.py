"""The test images: assembled from files of Debian packages (see fetch), under the names the validation suite pulls.

Names and what the suite does with each image are facts of its sources (cri-tools 1.36, pkg/validate and pkg/framework).
The one name it pulls by digest cannot be served: nobody can make other content of the same digest.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from crishim.testing.images import Image, Member, directory, file, hard_link, image

_UNPACKED = Path(__file__).resolve().parents[2] / ".build/debian"

STAGING, E2E = "k8s-staging-cri-tools/", "e2e-test-images/"
_GOARCH = {"x86_64": "amd64", "aarch64": "arm64"}

_PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false
"""
_GROUP = b"root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n"


def static_busybox_program() -> Path:
    """A shell and all the rest in one file that needs no other."""
    return _unpacked("busybox-static") / "bin/busybox"


@cache
def static_busybox() -> tuple[Member, ...]:
    """The least that one can run: Debian's busybox-static with its applets."""
    return _system(static_busybox_program())


@cache
def busybox() -> tuple[Member, ...]:
    """A small system as the suite expects it: its shell starts programs from /bin, and it has pgrep and ipcs.

    That of busybox-static prefers what is built in.
    """
    programs = [_program(path) for path in ("/usr/bin/pgrep", "/usr/bin/ipcs")]
    binary = _unpacked("busybox") / "bin/busybox"
    return (*_system(binary), *(member for members in (_linked(binary), *programs) for member in members))


def _system(binary: Path) -> tuple[Member, ...]:
    """busybox with all its applets, users, the usual directories.

    The applets are hard links, as everywhere: a mount over /bin/ls must not hide /bin/sh.
    """
    names = subprocess.run([binary, "--list"], check=True, capture_output=True, text=True).stdout.split()
    applets = [hard_link(f"bin/{name}", "bin/busybox", 0o755) for name in names if name != "busybox"]
    frame = ["bin", "dev", "etc", "lib", "proc", "sys", "usr", "usr/bin", "usr/lib", "usr/sbin", "var", "var/www"]
    return (
        *map(directory, frame),
        directory("tmp", mode=0o1777),
        directory("root", mode=0o700),
        file("etc/passwd", _PASSWD),
        file("etc/group", _GROUP),
        file("bin/busybox", binary.read_bytes(), mode=0o755),
        *applets,
    )


def nginx(port: int) -> tuple[Member, ...]:
    """A layer with Debian's nginx, answering on ``port`` and logging to the container's log."""
    page = b"<html><title>Welcome to nginx!</title></html>\n"
    settings = f"""
        daemon off; user www-data; pid /var/run/nginx.pid; worker_processes 1; error_log stderr notice;
        events {{ worker_connections 64; }}
        http {{
          access_log /dev/stdout;
          server {{ listen {port}; listen [::]:{port}; root /usr/share/nginx/html; }}
        }}
    """
    frame = ["etc/nginx", "usr/share", "usr/share/nginx", "usr/share/nginx/html", "var/run", "var/log", "var/log/nginx"]
    return (
        *map(directory, [*frame, "var/lib", "var/lib/nginx"]),
        *_program("/usr/sbin/nginx"),
        file("etc/nginx/nginx.conf", settings.encode()),
        file("usr/share/nginx/html/index.html", page),
    )


def pause() -> Image:
    """An image whose default program waits and reaps."""
    return image([[file("pause", Path("/usr/bin/catatonit").read_bytes(), mode=0o755)]], Entrypoint=["/pause", "-P"])


def no_new_privileges() -> Image:
    """Prints the effective uid, which a set-user-id program can only raise without no_new_privs."""
    script = 'echo "Effective uid: $(/bin/suid-id -u)"'
    suid = _program("/usr/bin/id", "bin/suid-id", mode=0o4755)
    return image([busybox(), suid], Entrypoint=["/bin/sh", "-c", script])


def predefined_group() -> Image:
    """A user who is in a group that only the image knows."""
    passwd = _PASSWD + b"default-user:x:1000:1000::/home/default-user:/bin/sh\n"
    group = _GROUP + b"default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n"
    return image([busybox(), [file("etc/passwd", passwd), file("etc/group", group)]], User="1000", Cmd=["sh"])


def httpd() -> Image:
    """A web server that says so in its log."""
    script = "echo httpd is starting; exec httpd -f -v -p 80 -h /var/www"
    page = file("var/www/index.html", b"<html><body><h1>It works!</h1></body></html>\n")
    return image([busybox(), [page]], Entrypoint=["/bin/sh", "-c", script])


def marked(name: str, user: str = "") -> Image:
    """busybox with one more file, so that each name has content of its own."""
    return image([busybox(), [file(name)]], Cmd=["sh"], User=user)


def suite() -> dict[str, Image]:
    """Every image of the validation suite by ``repository:tag``."""
    arch = _GOARCH.get(os.uname().machine, os.uname().machine)
    start = ["/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf"]
    same = marked("same-image")
    found = {
        "library/busybox:latest": image([busybox()], Cmd=["sh"]),
        f"{E2E}busybox:1.29-2": image([busybox()], Cmd=["sh"]),
        f"{E2E}nginx:1.14-2": image([busybox(), nginx(80)], Cmd=start),
        f"{E2E}httpd:2.4.39-4": httpd(),
        f"{E2E}nonewprivs:1.3": no_new_privileges(),
        "pause:3.9": pause(),
        f"{STAGING}hostnet-nginx-{arch}:latest": image([busybox(), nginx(12003)], Cmd=start),
        f"{STAGING}test-image-predefined-group:latest": predefined_group(),
        **{f"{STAGING}test-image-tags:{tag}": same for tag in "123"},
        **{f"{STAGING}test-image-tag:{tag}": marked(tag) for tag in ("test", "all")},
        **{f"{STAGING}test-image-{name}:latest": marked(f"test-image-{name}") for name in ("1", "2", "3", "latest")},
    }
    users = {"uid": "1002", "username": "www-data", "uid-group": "1003:1004", "username-group": "www-data:1004"}
    for name, user in users.items():
        found[f"{STAGING}test-image-user-{name}:latest"] = marked(f"user-{name}", user)
    return found


def node_suite(registry: str, agnhost: Path) -> dict[str, Image]:
    """Every image of Kubernetes' conformance specs of nodes, by name; ``agnhost`` is the program of most of them.

    Names and uses are facts of its sources (kubernetes 1.36, test/utils/image/manifest.go and test/e2e/common).
    """
    web = image([busybox(), nginx(80)], Cmd=["/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf"])
    return {
        f"{registry}/{E2E}agnhost:2.63.0": _agnhost(agnhost),
        f"{registry}/{E2E}busybox:1.37.0-1": image([busybox()], Cmd=["sh"]),
        f"{registry}/{E2E}glibc-dns-testing:2.0.0": image([busybox()], Cmd=["sh"]),
        f"{registry}/{E2E}ipc-utils:1.4": image([busybox()], Cmd=["sh"]),
        f"{registry}/{E2E}nginx:1.15-4": web,
        f"{registry}/{E2E}nginx:1.27-0": web,
        f"{registry}/{E2E}nonewprivs:1.4": no_new_privileges(),
        f"{registry}/{E2E}nonroot:1.5": marked("nonroot", "1234"),
        f"{registry}/pause:3.10.2": pause(),
    }


def _agnhost(program: Path) -> Image:
    """``program`` under both its names, what specs run beside it, and the user and certificate they know of."""
    passwd = _PASSWD + b"user-defined-in-image:x:1000:1000::/:/bin/sh\n"
    group = _GROUP + b"user-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n"
    request = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout - -out -"
    key_and_certificate = subprocess.run(request.split(), check=True, capture_output=True).stdout
    files = [
        file("etc/passwd", passwd),
        file("etc/group", group),
        file("localhost.crt", key_and_certificate),
        file("localhost.key", key_and_certificate),
        file("agnhost", program.read_bytes(), mode=0o755),
        hard_link("agnhost-2", "agnhost", 0o755),
    ]
    tools = (
        _program("/usr/bin/bash", "bin/bash"),
        _program("/usr/bin/curl"),
        _program("/usr/bin/nc.openbsd", "bin/nc"),
    )
    return image([busybox(), *tools, files], Entrypoint=["/agnhost"], Cmd=["pause"])


def sized(files: int, total: int, layers: int) -> Image:
    """An image to measure with: ``files`` files of ``total`` bytes in ``layers`` layers, packing to less than half."""
    source = random.Random(f"{files} {total}")
    pool = b"".join(b"%d:%x;" % (source.randrange(1000), source.getrandbits(48)) for _ in range(400_000))
    each = [_filled(source, pool, number, files // layers, total // files) for number in range(layers)]
    return image([busybox(), *each], Cmd=["sh"])


def _filled(source: random.Random, pool: bytes, number: int, files: int, mean: int) -> list[Member]:
    members: list[Member] = []
    for position in range(files):
        parent = f"data/{number}/{position // 100}"
        if position % 100 == 0:
            members.append(directory(parent))
        size = min(int(source.expovariate(1 / mean)), len(pool))
        start = source.randrange(len(pool) - size)
        members.append(file(f"{parent}/{position}", pool[start : start + size]))
    return members


def _program(path: str, name: str = "", mode: int = 0o755) -> Sequence[Member]:
    """A program, by another ``name`` if one is given, and the libraries it is linked to, where its loader looks."""
    return (file(name or path[1:], Path(path).read_bytes(), mode=mode), *_linked(Path(path)))


def _linked(program: Path) -> Sequence[Member]:
    """The libraries a program is linked to."""
    libraries = _libraries(program)
    parents = dict.fromkeys(str(parent)[1:] for name in libraries for parent in reversed(Path(name).parents[:-1]))
    return (*map(directory, parents), *(file(name[1:], Path(name).read_bytes(), mode=0o755) for name in libraries))


def _unpacked(package: str) -> Path:
    """The files of a Debian package that is not installed."""
    target = _UNPACKED / package
    if not target.exists():
        raise SystemExit(f"{target} is not there: run hack/images/fetch")
    return target


def _libraries(path: Path) -> Iterable[str]:
    listed = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    words = (line.split() for line in listed.splitlines())
    return [next(word for word in line if word.startswith("/")) for line in words if "/" in "".join(line)]
