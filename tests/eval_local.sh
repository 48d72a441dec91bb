#!/usr/bin/env bash
# The arms beside one another with a real, small model behind an OpenAI-compatible endpoint: bare, fixed, reflection, nl2sql, and
# the planner without it. What was asked before is answered from the recordings, so a run that was stopped goes on where it was.
# usage: tests/eval_local.sh [suite ...]      suites: defog_dev (default), flights, acme
# HEADWATER_LLM (default ../shared/llm/serve.sh) starts the server and prints its base URL; HEADWATER_EVALS is the folder of data;
# EVAL_CASES (120) cases of each suite; EVAL_HOME (.headwater-eval) keeps homes, recordings and report; EVAL_ARMS the arms.
set -eu
cd "$(dirname "$0")/.."
serve=${HEADWATER_LLM:-../shared/llm/serve.sh}
data=${HEADWATER_EVALS:-../shared/data/evals}
home=${EVAL_HOME:-.headwater-eval}
port=${EVAL_PORT:-8092}
run=${EVAL_RUN:-local}
if [ ! -f "$serve" ]; then echo "eval-local skipped: no $serve (set HEADWATER_LLM)"; exit 0; fi
mkdir -p "$home"
base=$(bash "$serve")
.venv/bin/headwater evals replay "$home/answers.jsonl" --of "$base" --port "$port" &
replaying=$!
trap 'kill $replaying 2> /dev/null || true' EXIT
cat > "$home/models.yml" <<YAML
default: local
models:
  - {name: local, model: openai/local, api_base: "http://127.0.0.1:$port/v1", strength: small, context_tokens: 8192, max_output_tokens: 400, timeout_s: 600}
YAML
export HEADWATER_HOME=$home HEADWATER_SERVER__TIMEOUT_S=1800
for _ in $(seq 100); do (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null && break; sleep 0.1; done
reports=
for suite in ${*:-defog_dev}; do
  folder=
  case $suite in defog_dev) folder=$data/defog_dev ;; acme) folder=$data/acme_insurance ;; esac
  if [ -n "$folder" ] && [ ! -d "$folder" ]; then echo "$suite skipped: no folder $folder (set HEADWATER_EVALS)"; continue; fi
  if [ "$suite" = flights ]; then .venv/bin/headwater demo --no-serve > /dev/null; fi
  for arm in ${EVAL_ARMS:-bare planner fixed reflection nl2sql}; do
    model=local; [ "$arm" = planner ] && model=
    .venv/bin/headwater evals run "$suite" ${folder:+--data "$folder"} -w "$arm" ${model:+--model $model} --cases "${EVAL_CASES:-120}" --run-id "$run"
    reports="$reports $run-$suite-$arm"
  done
  .venv/bin/headwater evals report $reports -o "$home/$suite.html"
  for arm in ${EVAL_ARMS:-bare planner fixed reflection nl2sql}; do
    [ "$arm" = bare ] || .venv/bin/headwater evals compare "$run-$suite-bare" "$run-$suite-$arm"
  done
  reports=
done
