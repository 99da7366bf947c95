#!/usr/bin/env bash
# Installs the Debian packages that benches/run compares quell with, and those of the tests (PostgreSQL is one); does nothing
# when all are there. Without them benches/run says "not here" and goes on.
# The benchmarks start servers of their own on ports of their own: those of the packages stay stopped.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
QUELL_INSTALL_MORE=webhook exec "$here/../tests/install.sh"
