#!/bin/sh
# Runs a pod from end to end with a real kubelet that you bring, and prints the steps: device plugin, container runtime, our plugins, traffic.
#     sh hack/real-kubelet.sh [--lab] [--multus FILE] [--etcd FILE] KUBELET [KUBE-APISERVER]
# With Multus as a daemon in a pod, as its manifest runs it:
#     sh hack/real-kubelet.sh [--etcd FILE] --multus-daemon FILE --multus-shim FILE KUBELET KUBE-APISERVER
# With controllers and a scheduler too it makes a cluster of one node, and applies, upgrades and removes the manifests of device-plugin/deploy:
#     sh hack/real-kubelet.sh [--lab] [--etcd FILE] --multus FILE --controller-manager FILE --scheduler FILE KUBELET KUBE-APISERVER
# Needs root and a build with tests (npm run build -- --with-tests). Everything runs in namespaces of its own, with --lab in the virtual machine, and ends with the script.
set -eu

top=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
exec sh "$top/hack/bun.sh" "$top/hack/real-kubelet.ts" "$@"
