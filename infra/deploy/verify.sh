#!/bin/sh
# Checks a release before it is installed, with openssl and sha256sum alone: for cloud-init and for
# whoever has no source tree. `cargo xtask package --verify FOLDER --key FILE` checks the same.
#
# With names of files only those are checked, for a machine that fetched no others.
#
# usage: verify.sh FOLDER PUBLIC-KEY.pem [FILE..]
set -eu

refuse() {
    echo "verify: $1; do not install it" >&2
    exit 1
}

[ $# -ge 2 ] || { echo "usage: verify.sh FOLDER PUBLIC-KEY.pem [FILE..]" >&2; exit 2; }
key=$(realpath "$2")
cd "$1"
shift 2
[ -f manifest.json ] || refuse "manifest.json is missing"
[ -f manifest.json.sig ] || refuse "manifest.json.sig is missing: the release is unsigned"
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT
base64 -d manifest.json.sig > "$raw" 2> /dev/null || refuse "manifest.json.sig is not base64"
openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in manifest.json -sigfile "$raw" \
    > /dev/null 2>&1 || refuse "manifest.json.sig is not this key's signature of manifest.json"

# What is signed is one line for each file: "NAME": "SHA-256".
sums=$(sed -n 's/^    "\([^"]*\)": "\([0-9a-f]\{64\}\)",\{0,1\}$/\2  \1/p' manifest.json)
[ -n "$sums" ] || refuse "manifest.json lists no file"
listed=$(echo "$sums" | cut -c 67-)
wanted=$listed
[ $# = 0 ] || wanted=$(printf '%s\n' "$@")
is_among() { echo "$2" | grep -qxF -e "$1"; }
for name in "$@"; do
    is_among "$name" "$listed" || refuse "$name is not in manifest.json"
done
echo "$sums" | while read -r sum name; do
    is_among "$name" "$wanted" || continue
    [ -f "$name" ] && [ ! -L "$name" ] || refuse "$name is missing"
    echo "$sum  $name" | sha256sum --check --status || refuse "$name was changed"
done
for name in * .[!.]*; do
    case "$name" in manifest.json | manifest.json.sig | '*' | '.[!.]*') continue ;; esac
    is_among "$name" "$listed" || refuse "$name is not in manifest.json"
done
echo "verify: $(echo "$wanted" | wc -l) files are as signed"
