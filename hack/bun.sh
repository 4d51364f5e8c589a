#!/bin/sh
# Runs the Bun that package-lock.json pins. Bun ships one npm package per CPU. The package for old x86-64 CPUs ("baseline",
# no AVX2) has no `bin` link, hence this wrapper.
top=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
case $(uname -m) in
  x86_64) pkg=bun-linux-x64-baseline ;;
  aarch64) pkg=bun-linux-aarch64 ;;
  *) echo "vf-flower builds on x86_64 and aarch64, not on $(uname -m)" >&2; exit 1 ;;
esac
exec "$top/node_modules/@oven/$pkg/bin/bun" "$@"
