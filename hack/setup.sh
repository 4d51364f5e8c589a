#!/bin/sh
# Makes a bare Debian 13 machine ready for an npm script. All npm scripts start with this script.
#   sh hack/setup.sh build   Node and the npm packages, and a C compiler if it can be installed; the build does without one
#   sh hack/setup.sh release   ... and a C compiler for the other processor (root, if it has to be installed)
#   sh hack/setup.sh lab     ... and QEMU with what runs in the virtual machine (needs root)
#   sh hack/setup.sh demo    ... and what builds the kernel module simnic (needs root)
#   sh hack/setup.sh test    ... and a C compiler for the header checks (needs root)
#   sh hack/setup.sh selftests   QEMU, what builds simnic, and the tools of the kernel's own tests (needs root)
# Prints nothing and installs nothing when all packages are there. Uses the configured package sources.
set -eu

top=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
mode=${1-}

# Package and the reason for it, one a line.
lab_packages='qemu-system-x86 the virtual machine
busybox-static its first program
xz-utils unpacks kernel modules
kmod modprobe and depmod
iproute2 ip, tc, bridge and devlink
nftables nft
ethtool offload features and counters of NICs
containernetworking-plugins the plugins that ours are compared with, and host-local
tcpdump captures on the wire
pciutils lspci
conntrack connection tracking tables
iptables rules of other programs, in both of its forms
ipset sets of kube-proxy in mode IPVS
ipvsadm services of IPVS
netavark port mappings of podman
iputils-ping ping
socat SCTP connections
iputils-arping duplicate address checks
perl-base looks at a host before and after a test'
# The lab unpacks the headers of the kernel that it boots.
module_packages='gcc-14 compiles the kernel module
binutils links and strips it
make builds it
perl checks its comments, a part of that build'
test_packages='gcc compiles the checks against kernel headers
libc6-dev C headers
linux-libc-dev kernel headers for programs
git lists the files that the tests of the tree itself read
musl-tools compiles the shim with another C library
gcc-aarch64-linux-gnu compiles the shim for arm64
libc6-dev-arm64-cross C headers for arm64
qemu-user runs the shim for arm64
strace captures the requests of ip and tc
libcap2-bin callers of the agent with fewer capabilities
curl asks the agent for its state and metrics
procps ends and lists processes of the agent
golang-go compiles the client of the device plugin tests
golang-google-grpc-dev its library, the one that kubelet is built with'
compiler_packages='gcc compiles the shim in front of the program
libc6-dev C headers'
case $(uname -m) in
  aarch64) other_compiler='gcc-x86-64-linux-gnu compiles the shim for x86-64
libc6-dev-amd64-cross C headers for x86-64' ;;
  *) other_compiler='gcc-aarch64-linux-gnu compiles the shim for arm64
libc6-dev-arm64-cross C headers for arm64' ;;
esac
release_packages="$compiler_packages
git says which files and which commit a release has
$other_compiler"
# The tests themselves come from the package linux-source-VERSION, which is unpacked and not installed (hack/lab/kernel.ts).
selftests_packages='netsniff-ng mausezahn, the packet generator of the kernel selftests
jq reads what ip and tc print in the kernel selftests
ncat TCP connections of the kernel selftests'

main() {
  case $mode in
    build | release) packages= ;;
    lab) packages=$lab_packages ;;
    demo) packages="$lab_packages
$module_packages" ;;
    test) packages="$lab_packages
$module_packages
$test_packages" ;;
    selftests) packages="$lab_packages
$module_packages
$selftests_packages" ;;
    *) die 'usage: sh hack/setup.sh build|release|lab|demo|test|selftests' ;;
  esac
  check_node
  if [ -n "$packages" ] && [ "$(id -u)" -ne 0 ]; then
    die "Cannot start the virtual machine as $(id -un): it reads the whole file system and may install packages. Run: $(root_command)"
  fi
  npm_packages
  if [ "$mode" = build ]; then c_compiler; fi
  # apt-get says so itself where it needs root.
  if [ "$mode" = release ]; then packages=$release_packages; fi
  if [ -n "$packages" ]; then debian_packages; fi
}

die() {
  echo "$1" >&2
  exit 1
}

say() { echo "setup: $1" >&2; }

# npm sets npm_lifecycle_event to the name of the running script.
root_command() {
  case ${npm_lifecycle_event-} in
    test) echo 'sudo npm test' ;;
    '') echo "sudo sh hack/setup.sh $mode" ;;
    *) echo "sudo npm run $npm_lifecycle_event" ;;
  esac
}

check_node() {
  version=$(node --version 2>/dev/null) || die 'Cannot find node: install Node 20.5 or newer'
  major=${version#v}
  minor=${major#*.}
  major=${major%%.*}
  minor=${minor%%.*}
  if [ "$major" -lt 20 ] || { [ "$major" -eq 20 ] && [ "$minor" -lt 5 ]; }; then
    die "Cannot use node $version: must be 20.5 or newer"
  fi
}

# npm writes node_modules/.package-lock.json last, so it is older than package-lock.json exactly when
# the lock file changed after the last complete installation.
npm_packages() {
  done=$top/node_modules/.package-lock.json
  if [ -e "$done" ] && [ -z "$(find "$top/package-lock.json" -newer "$done")" ]; then return 0; fi
  say 'npm ci (node_modules is missing or older than package-lock.json)'
  (cd "$top" && npm ci --ignore-scripts >&2) || die 'Cannot install the npm packages: npm ci failed'
  touch "$done"
}

# The build needs none, and says what it has made instead.
c_compiler() {
  if has_compiler; then return 0; fi
  install="apt-get install$(echo "$compiler_packages" | names)"
  if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    say "there is no C compiler with the headers of the C library, so the names of the plugins will be the slower program itself; on Debian run: sudo $install"
    return 0
  fi
  packages=$compiler_packages
  # In a shell of its own, because a failure must end that alone.
  (debian_packages) || say "the names of the plugins will be the slower program itself: $install failed"
}

# True if there is one of the compilers that hack/build.ts tries, and the headers for it.
has_compiler() {
  for compiler in ${CC-cc gcc gcc-14}; do
    if command -v "$compiler" >/dev/null; then
      if echo '#include <sys/socket.h>' | "$compiler" -E -o /dev/null - 2>/dev/null; then return 0; fi
    fi
  done
  return 1
}

debian_packages() {
  missing=$(missing_packages)
  if [ -z "$missing" ]; then return 0; fi
  command -v apt-get >/dev/null || die "Cannot install Debian packages without apt-get; missing:$(echo "$missing" | names)"
  say 'apt-get install:'
  echo "$missing" | while read -r name reason; do say "  $name: $reason"; done
  export DEBIAN_FRONTEND=noninteractive
  list=$(echo "$missing" | names)
  # shellcheck disable=SC2086 # a list of names
  if ! has_candidates $list || ! apt_install $list; then
    say 'apt-get update'
    apt-get update -qq >&2 || die 'Cannot refresh the package lists: apt-get update failed'
    # shellcheck disable=SC2086
    apt_install $list || die "Cannot install with apt-get:$list"
  fi
  still=$(missing_packages | names)
  if [ -n "$still" ]; then die "Cannot install with apt-get:$still"; fi
}

# One dpkg-query for all names: this runs before every npm script.
missing_packages() {
  # shellcheck disable=SC2046
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $(echo "$packages" | names) 2>/dev/null || true)
  echo "$packages" | while read -r name reason; do
    case "
$installed
" in
      *"
installed $name
"*) ;;
      *) echo "$name $reason" ;;
    esac
  done
}

names() {
  while read -r name _; do if [ -n "$name" ]; then printf ' %s' "$name"; fi; done
}

has_candidates() {
  for name; do
    if [ -z "$(apt-cache show --no-all-versions "$name" 2>/dev/null)" ]; then return 1; fi
  done
}

# Waits for another apt to end; prints output only on a failure. dpkg must not read the standard input of the next command.
apt_install() {
  log=$(mktemp)
  if apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null; then
    rm "$log"
  else
    tail -n 20 "$log" >&2
    rm "$log"
    return 1
  fi
}

main
