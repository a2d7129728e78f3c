#!/usr/bin/env bash
# Installs what Ringstack needs and nothing else; running it again changes nothing.
#   setup.sh PYTHON VENV REQUIREMENTS
set -euo pipefail
cd "$(dirname "$0")"
python="$1"
venv="$2"
requirements="$3"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Ringstack needs Python 3.11 or newer; $python is $("$python" --version 2>&1)" >&2
    exit 1
}

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "installing python3-venv"
    run=""
    [ "$(id -u)" = 0 ] || run="sudo"
    log="$(mktemp)"
    export DEBIAN_FRONTEND=noninteractive
    { $run apt-get update -qq && $run apt-get install -y -qq python3-venv; } >"$log" 2>&1 || {
        cat "$log" >&2
        exit 1
    }
    rm -f "$log"
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "installing pinned Python packages ($requirements)"
"$venv/bin/pip" install -q --disable-pip-version-check -r "$requirements"
"$venv/bin/pip" install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
"$venv/bin/python" -m cli.guests
