#!/bin/sh
# `npm test`: fetches the pinned Bun and the locked dependencies, then runs every check and test (.ci/check.ts).
# Arguments go to `bun test`, e.g. `npm test -- test/turn`.
set -eu
cd "$(dirname "$0")/.."

bun=$(sh ./install.sh --print-bun)
PATH=$(dirname "$bun"):$PATH
export PATH

# No lifecycle scripts: nothing here needs them, and claude runs from its platform package.
"$bun" install --frozen-lockfile --ignore-scripts

exec "$bun" .ci/check.ts "$@"
