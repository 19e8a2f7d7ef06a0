#!/bin/sh
# Hourly, and before the machine ends: brings the usage records since the last time to the bucket.
set -eu

# shellcheck source=/dev/null
. "${MACHINE:-/etc/lifeverse-voice/machine.env}"
here=$(dirname "$0")
# shellcheck source=aws.sh
. "$here/aws.sh"
[ -n "$RECORDS_URL" ] || exit 0

state=${STATE_DIRECTORY:-/var/lib/lifeverse-records}
# What was brought is written down after it arrived: rather twice than not at all. A record has its
# minute, shard and room, by which whoever reads it knows it again.
[ ! -f "$state/cursor" ] || cp "$state/cursor" "$state/next"
{ journalctl --namespace lifeverse-relay --quiet --output cat --cursor-file "$state/next" |
    grep '^{"kind":"usage"' || true; } > "$state/lines"
if [ -s "$state/lines" ]; then
    gzip --force "$state/lines"
    name="usage/$(date -u +%F)/$(metadata instance-id)-$(date -u +%s).jsonl.gz"
    signed s3 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -T "$state/lines.gz" "$RECORDS_URL/$name"
fi
[ ! -f "$state/next" ] || mv "$state/next" "$state/cursor"
