#!/bin/sh
# Has this stage's programs, Java among them, trust the CA bundle that the build's secret `ca` is; without one it does nothing.
# It is for networks whose proxy has a certificate of its own.
set -eu
[ -f /run/secrets/ca ] || exit 0
awk '/BEGIN CERTIFICATE/ { n++ } n { print > ("/usr/local/share/ca-certificates/given-" n ".crt") }' /run/secrets/ca
update-ca-certificates >/dev/null 2>&1
