#!/bin/sh
# Prepares .venv with the locked dependencies and Weir itself: `deploy/setup.sh runtime` or `deploy/setup.sh dev`.
# Does nothing, and that quickly, when the last run did the same. Needs Python 3.11 or later; works as root and as
# an ordinary user; asks nothing.
set -eu

kind=${1:-runtime}
cd "$(dirname "$0")/.."
venv=$PWD/.venv

case $kind in
    runtime) locks=requirements.lock ;;
    dev) locks=requirements-dev.lock ;;
    *) echo "setup: unknown kind '$kind'; say runtime or dev" >&2; exit 2 ;;
esac

# The path belongs to the mark: a folder that was copied or moved holds an environment that points elsewhere.
mark_of() { { echo "$PWD"; cat "$@" pyproject.toml; } | cksum | tr ' ' -; }

is_done() { [ -x "$venv/bin/weir" ] && [ "$(cat "$venv/setup-$1" 2>/dev/null)" = "$(mark_of "$2")" ]; }

if is_done "$kind" "$locks"; then exit 0; fi
# The development dependencies hold all of the runtime's.
if [ "$kind" = runtime ] && is_done dev requirements-dev.lock; then exit 0; fi

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
makes_venvs() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# One that can make environments by itself is taken before a newer one that cannot. A command that is found may
# still not run (a shim without a version behind it), so each is tried.
find_python() {
    found=
    for candidate in python3.13 python3.12 python3.11 python3; do
        is_new_enough "$candidate" || continue
        [ -n "$found" ] || found=$(command -v "$candidate")
        if makes_venvs "$candidate"; then command -v "$candidate"; return; fi
    done
    echo "$found"
}

install_venv_package() {
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "setup: installing python$version-venv" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2 || true
    apt-get install -y -qq --no-install-recommends "python$version-venv" >&2 \
        || apt-get install -y -qq --no-install-recommends python3-venv >&2
}

make_venv() {
    python=$(find_python)
    if [ -z "$python" ]; then
        echo "setup: Weir needs Python 3.11 or later, and none is on the PATH; on Debian 12 or Ubuntu 24.04: apt-get install python3 python3-venv" >&2
        exit 1
    fi
    if ! makes_venvs "$python" && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        install_venv_package "$python" || true
    fi
    rm -rf "$venv"
    if makes_venvs "$python"; then
        "$python" -m venv "$venv"
    elif command -v virtualenv >/dev/null; then
        virtualenv --quiet --python "$python" "$venv"
    elif command -v uv >/dev/null; then
        uv venv --quiet --seed --python "$python" "$venv"
    else
        echo "setup: $python cannot make virtual environments; run: sudo apt-get install python3-venv" >&2
        exit 1
    fi
}

in_venv() { PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0 PYTHONPATH='' "$venv/bin/python" "$@"; }

# A prefix that is not ours means a copied environment: its scripts would run the original's Python.
if ! [ "$(in_venv -c 'import sys, pip; print(sys.prefix)' 2>/dev/null)" = "$venv" ] \
    || ! [ "$(cat "$venv/setup-place" 2>/dev/null)" = "$PWD" ]; then
    echo "setup: making .venv" >&2
    make_venv
    echo "$PWD" >"$venv/setup-place"
fi

rm -f "$venv"/setup-runtime "$venv"/setup-dev
echo "setup: installing the locked $kind dependencies" >&2
in_venv -m pip install --quiet --quiet --require-hashes --no-deps --requirement "$locks"
# The build tool is among the locked ones: nothing is fetched that the lock does not name.
in_venv -m pip install --quiet --quiet --no-deps --no-build-isolation --editable .
mark_of "$locks" >"$venv/setup-$kind"
