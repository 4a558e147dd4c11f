#!/bin/sh
# Alertmanager with a configuration made of the settings of the job: what Prometheus rings for goes
# where the job's own alerts go. Keys stand in files of /tmp (memory), never on a command line.
set -eu
umask 077
cd "${TMPDIR:-/tmp}"

{
    cat <<'EOF'
route:
  receiver: people
  # Each alert is a message of its own.
  group_by: ['...']
  group_wait: 10s
  repeat_interval: 12h
receivers:
  - name: people
EOF
    if [ -n "${BREAKWATER_PAGERDUTY_ROUTING_KEY:-}" ]; then
        printf %s "$BREAKWATER_PAGERDUTY_ROUTING_KEY" > pagerduty
        url="${BREAKWATER_PAGERDUTY_URL:-https://events.pagerduty.com}"
        cat <<EOF
    pagerduty_configs:
      - routing_key_file: $PWD/pagerduty
        url: "${url%/}/v2/enqueue"
        description: '{{ .CommonAnnotations.summary }}'
        severity: '{{ .CommonLabels.severity }}'
        details: {playbook: '{{ .CommonAnnotations.runbook }}'}
EOF
    fi
    if [ -n "${BREAKWATER_SLACK_WEBHOOK_URL:-}" ]; then
        printf %s "$BREAKWATER_SLACK_WEBHOOK_URL" > slack
        cat <<EOF
    slack_configs:
      - api_url_file: $PWD/slack
        send_resolved: true
        title: '[{{ .Status }}] {{ .CommonLabels.alertname }}'
        text: '{{ .CommonAnnotations.summary }} ({{ .CommonAnnotations.runbook }})'
EOF
    fi
} > alertmanager.yml

# Without a cluster: one Alertmanager.
exec alertmanager --config.file=alertmanager.yml --storage.path=/alertmanager \
    --cluster.listen-address=
