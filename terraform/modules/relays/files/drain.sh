#!/bin/sh
# Waits until this machine shall end (by its group, or because a spot instance is taken back), moves
# the participants, and then lets it end. The hook of the group waits for that.
set -eu

# shellcheck source=/dev/null
. "${MACHINE:-/etc/lifeverse-voice/machine.env}"
here=$(dirname "$0")
# shellcheck source=aws.sh
. "$here/aws.sh"

until [ "$(metadata autoscaling/target-lifecycle-state || true)" = Terminated ]; do
    ! metadata spot/instance-action > /dev/null 2>&1 || break
    sleep "${PAUSE_SECONDS:-5}"
done
# The relay drains on SIGTERM for at most a minute, and systemd waits for it.
systemctl stop lifeverse-relay.service
# The last records; a bucket that cannot be reached holds up no machine.
systemctl start lifeverse-records.service || echo "drain: usage records were not brought" >&2
signed autoscaling -o /dev/null "${AUTOSCALING_URL:-https://autoscaling.$REGION.amazonaws.com}/" \
    -d Action=CompleteLifecycleAction -d Version=2011-01-01 \
    -d "AutoScalingGroupName=$GROUP" -d LifecycleHookName=drain \
    -d "InstanceId=$(metadata instance-id)" -d LifecycleActionResult=CONTINUE
# Started again it would wait for an end that is there already.
exec sleep infinity
