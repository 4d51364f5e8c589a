#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Builds simnic.ko outside of the source tree, once per kernel and state of the sources, and prints its path.
#   build.sh [KDIR]   KDIR: the kernel's build folder, default /lib/modules/$(uname -r)/build
# Needs make and the compiler that built the kernel.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
kdir=${1:-/lib/modules/$(uname -r)/build}
if ! kernel=$(cat "$kdir/include/config/kernel.release" 2>/dev/null); then
  echo "Cannot build simnic: '$kdir' is no kernel build folder" >&2
  exit 1
fi

cd "$here"
hash=$(cat build.sh Kbuild ./*.c ./*.h | sha256sum | cut -c1-16)
target=${XDG_CACHE_HOME:-$HOME/.cache}/vf-flower/simnic-$kernel-$hash
if [ ! -e "$target/simnic.ko" ]; then
  mkdir -p "$(dirname "$target")"
  work=$(mktemp -d "$target.part-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  cp Kbuild ./*.c ./*.h "$work"
  # Type information (BTF) would need pahole; warnings are errors here.
  if ! make -j"$(nproc)" -C "$kdir" M="$work" CONFIG_DEBUG_INFO_BTF_MODULES= W=1 KCFLAGS=-Werror modules >"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
  fi
  mkdir "$work/out"
  strip --strip-debug -o "$work/out/simnic.ko" "$work/simnic.ko"
  # Another build of the same sources may have been faster.
  mv -T "$work/out" "$target" 2>/dev/null || [ -e "$target/simnic.ko" ]
fi
echo "$target/simnic.ko"
