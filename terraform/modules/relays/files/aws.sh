# Sourced by the scripts beside it: what a machine asks of AWS, with curl alone. IMDSv2; requests
# are signed with the role of the machine.
# shellcheck shell=sh

imds=${IMDS:-http://169.254.169.254}

# metadata PATH: fails where there is no such thing.
metadata() {
    token=$(curl -sSf -m 5 -X PUT -H 'x-aws-ec2-metadata-token-ttl-seconds: 60' \
        "$imds/latest/api/token")
    curl -sf -m 5 -H "x-aws-ec2-metadata-token: $token" "$imds/latest/meta-data/$1"
}

# field NAME: of the credentials' JSON on standard input, which has one field on each line.
field() {
    sed -n 's/^ *"'"$1"'" *: *"\([^"]*\)",\{0,1\}$/\1/p'
}

# signed SERVICE CURL-ARGUMENTS..: the key goes over standard input, so it is in no process list.
signed() {
    service=$1
    shift
    role=$(metadata iam/security-credentials/)
    credentials=$(metadata "iam/security-credentials/$role")
    printf 'user = "%s:%s"\nheader = "x-amz-security-token: %s"\n' \
        "$(echo "$credentials" | field AccessKeyId)" \
        "$(echo "$credentials" | field SecretAccessKey)" \
        "$(echo "$credentials" | field Token)" |
        curl -sSf -m 120 --retry "${RETRIES:-5}" --retry-connrefused --config - \
            --aws-sigv4 "aws:amz:$REGION:$service" "$@"
}
