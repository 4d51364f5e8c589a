#!/bin/busybox sh
# The first program of a machine with the kernel of arm64 (machine.ts): calls of both plugins on that kernel, without an agent and with
# one. Each line "ok NAME" or "not ok NAME" is a test.
/bin/busybox --install -s /bin
rm -f /bin/ip /bin/tc
export PATH=/sbin:/bin
# busybox would take its own programs of these names.
ip() { /sbin/ip "$@"; }
tc() { /sbin/tc "$@"; }
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1

# check NAME COMMAND...
check() {
  name=$1
  shift
  if "$@" >/run/out 2>&1; then echo "ok $name"; else echo "not ok $name: $(head -c 1000 /run/out | tr '\n' ' ')"; fi
}
# call PLUGIN VERB CONFIG CONTAINER NAMESPACE
call() {
  CNI_COMMAND=$2 CNI_CONTAINERID=$4 CNI_NETNS=/run/netns/$5 CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin "/opt/cni/bin/$1" <"$3"
}
# with_result CONFIG RESULT: the config with the result of the plugin before it
with_result() {
  printf '%s' "$(sed 's/}$//' "$1"),\"prevResult\":$(cat "$2")}"
}
fetch() { ip netns exec wire wget -T "$1" -qO- http://192.0.2.1:8080/; }
answers() { [ "$(fetch 20)" = hello ]; }
silent() { ! fetch 3; }
is_empty() { [ "$(/opt/cni/bin/vfctl show)" = 'no attachments' ]; }
no_filters() { [ -z "$(nft list ruleset | grep 'c1/eth0')" ] && [ -z "$(tc qdisc | grep -E 'tbf|ifb')" ]; }
limited() { tc qdisc | grep -q 'tbf' && tc filter show dev "$(ip -br link show type veth master cni0 | sed 's/@.*//')" ingress | grep -q matchall; }
home() { ip -br addr show d0 | grep -q '198.51.100.1/24'; }
away() { ip netns exec two ip -br addr show eth0 | grep -q '10.2.0.2/24'; }
# has_served VERB: the agent has answered such a call.
has_served() {
  /opt/cni/bin/vfctl agent --json >/run/agent.json && grep -q "\"verb\": *\"$1\"" /run/agent.json && return 0
  cat /run/agent.json /run/agent.log
  return 1
}
# The agent answers. An emulated one takes its time for the first calls, and calls that wait too long run by themselves.
agent_answers() {
  n=0
  until has_served STATUS; do
    n=$((n + 1))
    if [ $n -gt 60 ]; then return 1; fi
    sleep 1
    call vf-offload STATUS /run/gc c1 pod
  done
}

# Kilobytes of files that a process has in memory; the files of this machine lie in memory themselves.
pages() { awk '/^Rss(File|Shmem):/ { sum += $2 } END { print sum + 0 }' "/proc/$1/status"; }
# Waits until a process has given back a quarter of the pages of files that it had at most.
gives_back() {
  n=0 most=0
  while [ $n -lt 120 ]; do
    now=$(pages "$1")
    if [ "$now" -gt $most ]; then most=$now; fi
    if [ $((now * 4)) -lt $((most * 3)) ]; then return 0; fi
    n=$((n + 1))
    sleep 1
  done
  echo "$now of $most kB: $(cat /run/device-plugin.log)"
  return 1
}
# A process of the device plugin goes on, and ends when that is asked of it.
ends_well() {
  kill -HUP "$1"
  sleep 2
  kill -TERM "$1" && wait "$1"
}

for one in wire pod two; do ip netns add "$one"; done
ip link add up0 type veth peer name w0 netns wire
ip addr add 192.0.2.1/24 dev up0
ip link set up0 up
ip -n wire addr add 192.0.2.9/24 dev w0
ip -n wire link set w0 up
ip link add d0 type dummy
ip addr add 198.51.100.1/24 dev d0
ip link set d0 up

ipam() { printf '"ipam":{"type":"host-local","subnet":"%s","routes":[{"dst":"0.0.0.0/0"}]}' "$1"; }
printf '{"cniVersion":"1.0.0","name":"n","type":"bridge","bridge":"cni0","isGateway":true,%s}' "$(ipam 10.1.0.0/24)" >/run/bridge
printf '{"cniVersion":"1.0.0","name":"n","type":"vf-offload","capabilities":{"portMappings":true,"bandwidth":true},"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}],"bandwidth":{"ingressRate":10000000,"ingressBurst":1000000,"egressRate":10000000,"egressBurst":1000000}}}' >/run/del
printf '{"cniVersion":"1.1.0","name":"n","type":"vf-offload","cni.dev/valid-attachments":[]}' >/run/gc
printf '{"cniVersion":"1.0.0","name":"a","type":"vf-attach","device":"d0",%s}' "$(ipam 10.2.0.0/24)" >/run/attach

call bridge ADD /run/bridge c1 pod >/run/result || echo 'not ok the plugin bridge'
with_result /run/del /run/result >/run/add
mkdir /run/www
echo hello >/run/www/index.html
ip netns exec pod httpd -p 80 -h /run/www

check 'STATUS of vf-offload' call vf-offload STATUS /run/gc c1 pod
check 'ADD of vf-offload' call vf-offload ADD /run/add c1 pod
check 'the mapped port answers on the wire' answers
check 'limits are there' limited
check 'CHECK of vf-offload' call vf-offload CHECK /run/add c1 pod
check 'DEL of vf-offload' call vf-offload DEL /run/del c1 pod
check 'the port is silent' silent
check 'nothing is left' no_filters
check 'GC of vf-offload' call vf-offload GC /run/gc c1 pod
check 'no attachment' is_empty

call vf-attach ADD /run/attach c2 two >/run/result
check 'ADD of vf-attach' away
with_result /run/attach /run/result >/run/check
check 'CHECK of vf-attach' call vf-attach CHECK /run/check c2 two
check 'DEL of vf-attach' call vf-attach DEL /run/attach c2 two
check 'the device is home' home

/opt/cni/bin/vf-agent >/run/agent.log 2>&1 &
check 'the agent answers' agent_answers
check 'ADD by the agent' call vf-offload ADD /run/add c1 pod
check 'the mapped port answers again' answers
check 'DEL by the agent' call vf-offload DEL /run/del c1 pod
check 'nothing is left again' no_filters
check 'the agent has served the ADD' has_served ADD

printf '{"resourceList":[{"resourceName":"none","selectors":[{"vendors":["ffff"]}]}]}' >/run/pools
/opt/cni/bin/vf-device-plugin --config-file /run/pools --kubelet-dir /run/kubelet >/run/device-plugin.log 2>&1 &
plugin=$!
check 'the device plugin gives pages of its program back' gives_back $plugin
check 'the device plugin goes on, and ends as told' ends_well $plugin
echo end
poweroff -f
