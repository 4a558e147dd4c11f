#!/bin/sh
# Passwords for a local stack, made up on the spot: sh deploy/env.sh > .env
set -eu

password() {
    od -An -N18 -tx1 /dev/urandom | tr -d ' \n'
}

cat <<EOF
CLICKHOUSE_PASSWORD=$(password)
VALKEY_PASSWORD=$(password)
GRAFANA_PASSWORD=$(password)
BREAKWATER_CONSOLE_PASSWORD=$(password)
# Where alerts go, when they should leave this machine:
#BREAKWATER_SLACK_WEBHOOK_URL=
#BREAKWATER_PAGERDUTY_ROUTING_KEY=
EOF
