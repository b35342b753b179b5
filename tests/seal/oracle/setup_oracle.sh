#!/bin/sh
# Make the virtual environment of the interoperability oracle: `cwt`, an independent COSE implementation (it
# needs cbor2 < 6, which the gateway does not use, hence an environment of its own), and `cddl-verifier`.
# Usage: setup_oracle.sh [python]   (target: $AURORA_ORACLE_VENV, default .venv-oracle in the repository)
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
target=${AURORA_ORACLE_VENV:-$root/.venv-oracle}
draft=$target.draft.$$
trap 'rm -rf "$draft"' EXIT
"${1:-python3}" -m venv "$draft"
"$draft/bin/python" -m pip install --quiet --disable-pip-version-check "cwt==3.3.0" "cbor2>=5.9,<6" "cddl-verifier==1.5.3"
# The scripts in bin/ name the draft's path; only bin/python is used, which finds its place by itself.
rm -rf "$target"
mv "$draft" "$target"
trap - EXIT
