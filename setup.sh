#!/usr/bin/env bash
# Installs what Ringstack needs and nothing else; running it again changes nothing.
set -euo pipefail
cd "$(dirname "$0")"
python="$1"
venv="$2"

"$python" - <<'PY' || { echo "Ringstack needs Python 3.11 or newer" >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
PY

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    run=""
    [ "$(id -u)" = 0 ] || run="sudo"
    echo "installing python3-venv"
    $run apt-get update -qq
    $run apt-get install -y -qq python3-venv >/dev/null
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "installing pinned Python packages"
"$venv/bin/pip" install -q --disable-pip-version-check -r requirements.txt
"$venv/bin/pip" install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
