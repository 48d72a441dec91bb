#!/usr/bin/env bash
# Our own long tests, then conformance suites that we did not write, on a running demo. What needs data from outside the
# repository is skipped, and said so, where that is missing: HEADWATER_JUDGES (default ../shared/judges), HEADWATER_ATTACKS,
# HEADWATER_EVALS. JUDGE_FUZZ_SECONDS is 600 unless told, JUDGE_TABLE_SECONDS 300.
# usage: tests/judge.sh [attacks|differential|mutations|lives|roles|index|chat|fuzz|tables|gold|metrics|gateway|a2a-js|tck|signin|signin-browser|report|slow|mcp|mcp-gateway|inspector|buf|grpc|grpc-web|schemathesis ...]
#        all of them when none is named
set -u
cd "$(dirname "$0")/.."
judges=${HEADWATER_JUDGES:-../shared/judges}
attacks=${HEADWATER_ATTACKS:-../shared/data/sql-attacks-dev.jsonl}
evals=${HEADWATER_EVALS:-../shared/data/evals}
failed=0
run() { echo "== $1"; shift; "$@" || failed=1; }
slow() { .venv/bin/pytest -q -n 2 --dist worksteal -m slow "$@"; }

others=
for name in ${*:-attacks differential mutations fuzz tables gold metrics a2a-js tck slow mcp mcp-gateway inspector buf grpc grpc-web schemathesis}; do
  case $name in
    attacks) run "Attacks through every door" .venv/bin/python -m tests.hostile.attacks "$attacks" ;;
    differential) run "Governed answers beside a filtered copy" slow tests/differential ;;
    mutations) run "Every rule broken once" .venv/bin/python -m tests.differential.mutations ;;
    fuzz) run "Grammar fuzzing" .venv/bin/python -m tests.hostile.fuzz_sql "${JUDGE_FUZZ_SECONDS:-600}" ;;
    tables) run "Tables under fire" .venv/bin/python -W ignore -m tests.chaos.test_tables "${JUDGE_TABLE_SECONDS:-300}" ;;
    catalogs) run "Lakehouses in every place" slow tests/tools/catalog tests/api/iceberg tests/headwater/test_edge_bucket.py \
      tests/engine/maintenance/test_elsewhere.py ;;
    gold)
      if [ -d "$evals" ]; then run "Gold SQL of evaluation sets" .venv/bin/python -m tests.hostile.gold_sql "$evals"
      else echo "gold skipped: no folder $evals (set HEADWATER_EVALS)"; fi ;;
    metrics)
      if [ -d "$evals/acme_insurance" ]; then run "Questions that metrics cover" .venv/bin/python -m tests.engine.semantic.judged "$evals"
      else echo "metrics skipped: no folder $evals/acme_insurance (set HEADWATER_EVALS)"; fi ;;
    lives) run "Lives of approvals and shares" slow tests/engine/approvals ;;
    roles) run "Two organisations, every role, both databases" slow tests/headwater/test_story.py ;;
    chat) run "Agents: orders hidden in data, lying models, killed servers, OpenAI's client" slow tests/agents ;;
    index) run "An index under fire" slow tests/engine/retrieval ;;
    gateway) run "Agents under fire" slow tests/gateway ;;
    signin) run "Real clients sign in" slow -rs tests/signin/test_real_clients.py ;;
    signin-browser) run "A person at a browser" slow -rs tests/signin/test_browser_walk.py ;;
    report) run "An evaluation's report in a browser" slow -rs tests/evals/test_report_page.py ;;
    a2a-js)
      if client=$(bash tests/gateway/serving/node/packages.sh); then
        run "A2A's own client for JavaScript" .venv/bin/python -W ignore -m tests.gateway.serving.judged told \
          node tests/gateway/serving/node/clients.mjs "$client"
      else echo "a2a-js skipped: npm does not answer, or there is none"; fi ;;
    tck)
      if [ -f "$judges/a2a-tck.sh" ] && [ -f "${A2A_TCK_DIR:-}/run_tck.py" ]; then
        run "A2A's conformance suite" .venv/bin/python -W ignore -m tests.gateway.serving.judged suite bash "$judges/a2a-tck.sh"
      else echo "tck skipped: A2A_TCK_DIR names no tree of a2aproject/a2a-tck, branch 1.0-dev"; fi ;;
    slow) run "Slow tests" slow --ignore=tests/differential ;;
    *) others="$others $name" ;;
  esac
done
[ -n "$others" ] || exit $failed
if [ ! -d "$judges" ]; then
  echo "judges skipped: no folder $judges (set HEADWATER_JUDGES)"
  exit $failed
fi

home=${JUDGE_HOME:-.headwater-judge}
export HEADWATER_HOME=$home
.venv/bin/headwater demo --no-serve > /dev/null || { echo "judges: the demo does not run"; exit 1; }
.venv/bin/headwater serve --rest-port 0 --grpc-web-port 0 --mcp-port 0 --grpc-port 0 > "$home/judge.log" 2>&1 &
server=$!
trap 'kill $server 2> /dev/null; wait $server 2> /dev/null; rm -rf "${proto:-}"' EXIT
for _ in $(seq 200); do [ -s "$home/serve.json" ] && grep -q "\"pid\": $server" "$home/serve.json" && break; sleep 0.1; done
port() { .venv/bin/python -c "import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])" "$home/serve.json" "$1"; }
rest=http://127.0.0.1:$(port rest) mcp=http://127.0.0.1:$(port mcp)/mcp grpc=127.0.0.1:$(port grpc) web=http://127.0.0.1:$(port grpc_web)
token() { .venv/bin/headwater token --role "$1"; }
list=headwater.v1.CatalogService/ListTables
proto=$(mktemp -d)  # the judges build every .proto below a folder, and .venv holds other people's
mkdir -p "$proto/headwater/v1" && cp headwater/v1/headwater.proto "$proto/headwater/v1/"
for name in $others; do
  case $name in
    mcp) run "MCP conformance, core scenarios" env MCP_MODE=core bash "$judges/mcp-conformance.sh" "$mcp" "$(token viewer)" ;;
    mcp-gateway) run "MCP conformance, through the gateway" bash tests/gateway/conformance.sh "$judges" ;;
    inspector) run "MCP Inspector" env MCP_LOAD=200 bash "$judges/mcp-inspector.sh" "$mcp" "$(token viewer)" list_tables '{}' flights ;;
    buf) run "buf lint" bash "$judges/buf.sh" "$proto" ;;
    grpc) run "gRPC" bash "$judges/grpcurl.sh" "$grpc" "$(token viewer)" "$list" '{}' flights ;;
    grpc-web) run "gRPC-Web" node "$judges/grpc-web.mjs" "$web" "$(token viewer)" "$list" '{}' "$proto" flights ;;
    schemathesis) run "schemathesis" bash "$judges/schemathesis.sh" "$rest" "$(token admin)" ;;
    *) echo "no judge is named $name"; failed=1 ;;
  esac
done
exit $failed
