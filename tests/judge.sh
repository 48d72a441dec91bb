#!/usr/bin/env bash
# Runs conformance suites that we did not write on a running demo. They live outside the repository, in
# HEADWATER_JUDGES (default ../shared/judges); where that folder is missing everything is skipped, and said so.
# Our own long tests of governed SQL run first: they need no judge but the corpus of attacks, HEADWATER_ATTACKS.
# usage: tests/judge.sh [attacks|differential|mutations|slow|mcp|inspector|buf|grpc|grpc-web|schemathesis ...]
#        all of them when none is named
set -u
cd "$(dirname "$0")/.."
attacks=${HEADWATER_ATTACKS:-../shared/data/sql-attacks-dev.jsonl}
failed=$bad
run() { echo "== $1"; shift; "$@" || failed=1; }
own() {
  case $1 in
    attacks) run "Attacks through every door" .venv/bin/python -m tests.hostile.attacks "$attacks" ;;
    differential) run "Governed answers beside a filtered copy" .venv/bin/pytest -q -n 2 --dist worksteal -m slow tests/differential ;;
    mutations) run "Every rule broken once" .venv/bin/python -m tests.differential.mutations ;;
    slow) run "Slow tests" .venv/bin/pytest -q -n 2 --dist worksteal -m slow --ignore=tests/differential ;;
    *) return 1 ;;
  esac
}
others=
for name in ${*:-attacks differential mutations slow mcp inspector buf grpc grpc-web schemathesis}; do
  own "$name" || others="$others $name"
done
[ -n "$others" ] || exit $failed
# fuzz and gold need no judge, only time and data: JUDGE_FUZZ_SECONDS (600), HEADWATER_EVALS (default ../shared/data/evals).
early=${*:-fuzz gold}
bad=0
for name in $early; do
  case $name in
    fuzz) .venv/bin/python -m tests.hostile.fuzz_sql "${JUDGE_FUZZ_SECONDS:-600}" || bad=1 ;;
    gold)
      evals=${HEADWATER_EVALS:-../shared/data/evals}
      if [ -d "$evals" ]; then .venv/bin/python -m tests.hostile.gold_sql "$evals" || bad=1
      else echo "gold skipped: no folder $evals (set HEADWATER_EVALS)"; fi ;;
  esac
done
judges=${HEADWATER_JUDGES:-../shared/judges}
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
    inspector) run "MCP Inspector" env MCP_LOAD=200 bash "$judges/mcp-inspector.sh" "$mcp" "$(token viewer)" list_tables '{}' flights ;;
    buf) run "buf lint" bash "$judges/buf.sh" "$proto" ;;
    grpc) run "gRPC" bash "$judges/grpcurl.sh" "$grpc" "$(token viewer)" "$list" '{}' flights ;;
    grpc-web) run "gRPC-Web" node "$judges/grpc-web.mjs" "$web" "$(token viewer)" "$list" '{}' "$proto" flights ;;
    schemathesis) run "schemathesis" bash "$judges/schemathesis.sh" "$rest" "$(token admin)" ;;
    fuzz | gold) ;;  # done above
    *) echo "no judge is named $name"; failed=1 ;;
  esac
done
exit $failed
