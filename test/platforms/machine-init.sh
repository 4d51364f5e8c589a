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
agent_there() {
  n=0
  while [ ! -S /run/vf-flower/agent.sock ]; do
    n=$((n + 1))
    if [ $n -gt 120 ]; then return 1; fi
    sleep 1
  done
}
served() { /opt/cni/bin/vfctl agent --json | grep -q '"ADD"'; }

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
check 'the agent' agent_there
check 'ADD by the agent' call vf-offload ADD /run/add c1 pod
check 'the mapped port answers again' answers
check 'DEL by the agent' call vf-offload DEL /run/del c1 pod
check 'nothing is left again' no_filters
check 'the agent has served' served
echo end
poweroff -f
