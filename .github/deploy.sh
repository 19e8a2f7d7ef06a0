#!/bin/sh
# The command of .github/workflows/deploy.yml, from its inputs; arguments are handed on (--plan).
set -eu

case $ENVIRONMENT in
    dev) folder=terraform/environments/dev key=lifeverse/dev.tfstate variables=dev.tfvars ;;
    prod)
        folder=terraform/environments/prod/region key="lifeverse/prod/$REGION.tfstate"
        variables="$REGION.tfvars"
        ;;
esac
[ "${1:-}" = --plan ] || terraform -chdir="$folder" init -input=false \
    -backend-config="bucket=$BUCKET" -backend-config="region=$STATE_REGION" \
    -backend-config="key=$key"

umask 077
printf '%s\n' "$OPERATOR_KEY" > "$RUNNER_TEMP/operator.key"
OPERATOR_TOKEN=$(cargo xtask token --player deployer --room '*' --operator --ttl 7200 \
    --key "$RUNNER_TEMP/operator.key")
export OPERATOR_TOKEN
rm "$RUNNER_TEMP/operator.key"

set -- "$@" --env "$ENVIRONMENT" --region "$REGION" --bucket "$ARTEFACTS" --edge "$EDGE" \
    --var-file "$folder/$variables"
[ -z "$OVERRIDE" ] || set -- "$@" --override "$OVERRIDE"
if [ "$COMMAND" = deploy ]; then
    set -- "$@" --colour "$COLOUR" --release "$RUNNER_TEMP/release" --key "$RUNNER_TEMP/release.pem"
fi
exec cargo xtask "$COMMAND" "$@"
