#!/bin/sh
# Rewrites test/fixtures/conf with the calls that container runtimes make. Needs root once, for the Go packages.
set -eu
top=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)
if ! dpkg -s golang-go golang-github-containerd-go-cni-dev golang-github-appc-cni-dev >/dev/null 2>&1; then
  apt-get update -qq
  apt-get install -y -qq golang-go golang-github-containerd-go-cni-dev golang-github-appc-cni-dev
fi
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cd "$top/hack/capture-stdin"
GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$build/cache" go build -o "$build/capture" main.go
"$build/capture" "$top/test/fixtures/conf"
