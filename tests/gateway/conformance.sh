#!/usr/bin/env bash
# The MCP conformance suite's core scenarios, on a sample MCP server itself, on its gateway_url, and on its project's server.
# usage: tests/gateway/conformance.sh JUDGES_FOLDER
set -u
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
mkfifo "$work/stop"
.venv/bin/python -W ignore -m tests.gateway.conformance < "$work/stop" > "$work/where" 2> "$work/log" &
server=$!
exec 9> "$work/stop"
trap 'exec 9>&-; wait $server; rm -rf "$work"' EXIT
for _ in $(seq 1200); do [ -s "$work/where" ] && break; sleep 0.1; done
[ -s "$work/where" ] || { cat "$work/log"; echo "mcp-gateway: the platform does not start"; exit 1; }
said() { .venv/bin/python -c "import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])" "$work/where" "$1"; }
failed=0
for way in direct routed by_project; do
  echo "-- $way"
  # Under a project the diagnostic tools have other names, so the two checks that only they can show are let pass.
  if [ $way = by_project ]; then unset MCP_ALLOW_CHECKS; else export MCP_ALLOW_CHECKS=none; fi
  MCP_MODE=core bash "$1/mcp-conformance.sh" "$(said $way)" "$(said token)" || failed=1
done
exit $failed
