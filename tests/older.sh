#!/usr/bin/env bash
# Builds the newest quell of this repository's history that knows only the first migration, and prints where it is: for the
# tests that run two versions on one database. Built once; kept in the target folder.
#
#   export QUELL_TEST_OLDER=$(tests/older.sh)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}

added=$(git log --reverse --diff-filter=A --format=%H -- migrations ':!migrations/0001_init.sql' 2>/dev/null | head -n 1)
if [[ -z $added ]] || ! commit=$(git rev-parse --verify --quiet "$added^{commit}~1"); then
  printf 'tests/older.sh: no older version in the history that is here\n' >&2
  exit 1
fi

older=$target/older/$commit/quell
if [[ ! -x $older ]]; then
  source=$(mktemp -d)
  trap 'rm -rf "$source"' EXIT
  git archive "$commit" | tar -x -C "$source"
  # nobody debugs it, and nobody builds it twice
  export CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
  CARGO_TARGET_DIR=$target/older/build cargo build --quiet --locked --bin quell --manifest-path "$source/Cargo.toml" >&2
  mkdir -p "${older%/*}"
  cp "$target/older/build/debug/quell" "$older.new"
  mv "$older.new" "$older"
  rm -rf "$target/older/build"
fi
printf '%s\n' "$older"
