#!/bin/sh
# Once, at the first start: fetches the release, refuses it unless it is signed, installs the relay
# and starts it. The relay enrols by itself, with the role of the machine.
set -eu

# shellcheck source=/dev/null
. "${MACHINE:-/etc/lifeverse-voice/machine.env}"
here=$(dirname "$0")
# shellcheck source=aws.sh
. "$here/aws.sh"
etc=${ETC:-/etc/lifeverse-voice}

# No address is guessed: without a public one this machine carries nobody.
public=$(metadata public-ipv4) || {
    echo "install: this machine has no public IPv4 address" >&2
    exit 1
}
private=$(metadata local-ipv4)
six=$(metadata ipv6) || six=

release=$(mktemp -d)
package="lifeverse-relay_${VERSION}_$(dpkg --print-architecture).deb"
for name in manifest.json manifest.json.sig "$package"; do
    signed s3 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
        -o "$release/$name" "${BUCKET_URL}/${VERSION}/$name"
done
sh "$here/verify.sh" "$release" "$etc/release.pem" "$package"

shards=${SHARDS:-0}
[ "$shards" -gt 0 ] || shards=$(nproc)
[ "$shards" -le "$MEDIA_PORTS" ] || shards=$MEDIA_PORTS
arguments="--enrol $EDGE --enrol-aws --region $VOICE_REGION --shards $shards"
arguments="$arguments --max-participants $MAX_PARTICIPANTS"
arguments="$arguments --listen $private:7410 --listen-tcp $private:443 --advertise $public"
if [ -n "$six" ]; then
    arguments="$arguments --listen [$six]:7410 --listen-tcp [$six]:443 --advertise $six"
fi
arguments="$arguments --control $private:7411 --control-url http://$public:7411"
printf 'RELAY_ARGS="%s"\n' "$arguments" > "$etc/relay.env"

dpkg --install "$release/$package"
rm -r "$release"
systemctl enable --now lifeverse-relay.service lifeverse-drain.service lifeverse-records.timer

if [ -n "$REMOTE_WRITE_URL" ]; then
    prometheus=${PROMETHEUS:-/etc/prometheus/prometheus.yml}
    mkdir -p "$(dirname "$prometheus")"
    {
        echo 'global:'
        echo '  scrape_interval: 15s'
        printf '  external_labels: { region: %s, colour: %s, relay: %s }\n' \
            "$VOICE_REGION" "$COLOUR" "$(metadata instance-id)"
        echo 'scrape_configs:'
        echo '  - job_name: relay'
        echo '    static_configs: [{ targets: ["127.0.0.1:7412"] }]'
        printf 'remote_write: [{ url: "%s"%s }]\n' "$REMOTE_WRITE_URL" \
            "${REMOTE_WRITE_SIGNED:+, sigv4: { region: $REGION \}}"
    } > "$prometheus"
    # Without an agent the relay still carries voice.
    systemctl restart prometheus || echo "install: this machine sends no metrics" >&2
fi
