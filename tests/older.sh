#!/usr/bin/env bash
# Builds the newest quell of this repository's history that does not know the newest migration, and prints where it is: for
# the test that runs two versions on one database. Built once; kept in the target folder. Exit code 3: there is none yet.
#
#   export QUELL_TEST_OLDER=$(tests/older.sh)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}

added=$(git log --diff-filter=A --format=%H -n 1 -- migrations 2>/dev/null || true)
# what came before connections that remember old tables are made anew was never meant to share a database
if [[ -z $added ]] || ! commit=$(git rev-parse --verify --quiet "$added^{commit}~1") ||
  ! git grep --quiet 'cached plan' "$commit" -- src/store/pool.rs; then
  printf 'tests/older.sh: no older version that may share a database in the history that is here\n' >&2
  exit 3
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
