#!/bin/sh
# Install, look at or remove the launchd agent of one environment: sh launchd/install.sh [install|status|remove] [ENVIRONMENT]
set -eu
action=${1:-install}
environment=${2:-binance_paper}
program=$(command -v dudzian) || { echo "dudzian is not on the PATH; activate its environment first" >&2; exit 2; }
exec "$program" service "$action" --environment "$environment"
