#!/usr/bin/env bash
# Installs A2A's own client for JavaScript, pinned, into a cache; prints where it is. It is no part of this project.
set -u
cache=${HEADWATER_JUDGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/headwater-judges}/a2a-1
if [ ! -f "$cache/.installed" ]; then
  mkdir -p "$cache" && echo '{"private": true, "type": "module"}' > "$cache/package.json"
  (cd "$cache" && npm install --no-audit --no-fund --loglevel=error --ignore-scripts \
    @a2a-js/sdk@1.3.0 @grpc/grpc-js@1.14.7 @bufbuild/protobuf@2.17.0) >&2 || { echo "npm does not answer" >&2; exit 2; }
  touch "$cache/.installed"
fi
echo "$cache"
