// The node for spoilt calls: two devices, a pod, a neighbour whose attachments must stay, files of all kinds. In: nothing. Out:
// scripts for sh. Duplicate address detection is off, so that nothing waits for it.
import { FUZZ, type Plugin, POD, POD_LINK } from './draft.ts'
import type { Tree } from './tree.ts'

/** The folder of the IPAM plugin's answers, where it writes its questions down. No snapshot looks there. */
export const IPAM_FOLDER = '/dev/shm/fuzz'

const IPAM = `#!/bin/sh
cat >/dev/null
echo $CNI_COMMAND >>${IPAM_FOLDER}/asked
[ -e ${IPAM_FOLDER}/$CNI_COMMAND ] || exit 0
cat ${IPAM_FOLDER}/$CNI_COMMAND
. ${IPAM_FOLDER}/$CNI_COMMAND.then
`

const quiet =
  'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/default/router_solicitations'

/** Makes the bed on a new node, or after {@link CLEAR}. */
export const MAKE = `set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
${quiet}
mkdir -p ${FUZZ}/cni ${FUZZ}/folder ${IPAM_FOLDER} /srv/trap
cat >${FUZZ}/cni/fuzz-ipam <<'END'
${IPAM}END
chmod 755 ${FUZZ}/cni/fuzz-ipam
echo x >${FUZZ}/file
echo x >/srv/trap/file
ln -s loop ${FUZZ}/loop
ln -s /nope/nope ${FUZZ}/dangling
ln -s /srv/trap/file ${FUZZ}/to-trap
mkfifo ${FUZZ}/fifo
for pod in ${POD} neighbour wire; do
  ip netns add $pod
  nsenter --net=/run/netns/$pod sh -c '${quiet}'
  ip -n $pod link set lo up
done
ip -b - <<'END'
link add u0 up type veth peer name u1
link set u1 up
address add 10.1.0.1/24 dev u0
link add fz0 address 02:00:00:00:02:01 type veth peer name fz1 netns wire
link add d0 address 02:00:00:00:02:02 type ifb
link add nb0 address 02:00:00:00:02:03 type ifb
link add ${POD_LINK.host} up address 02:00:00:00:00:02 type veth peer name ${POD_LINK.name} address ${POD_LINK.mac} netns ${POD}
address add 10.244.1.1/24 dev ${POD_LINK.host}
link add n0 up address 02:00:00:00:00:12 type veth peer name eth0 address 02:00:00:00:00:13 netns neighbour
address add 10.244.2.1/24 dev n0
END
ip -n wire link set fz1 up
ip -n ${POD} -b - <<'END'
address add ${POD_LINK.address} dev ${POD_LINK.name}
link set ${POD_LINK.name} up
route add default via 10.244.1.1
END
ip -n neighbour -b - <<'END'
address add 10.244.2.2/24 dev eth0
link set eth0 up
route add default via 10.244.2.1
END`

/** Removes the bed, whatever a call has left of it. */
export const CLEAR = `export PATH=/usr/sbin:/usr/bin:/sbin:/bin
for folder in /var/lib/cni /var/lib/cni/vf-flower /run/vf-flower; do
  while umount $folder 2>/dev/null && [ $folder != /var/lib/cni ]; do :; done
done
grep -q ' /var/lib/cni ' /proc/mounts || mount -t tmpfs tmpfs /var/lib/cni
for pod in ${POD} neighbour wire; do ip netns del $pod; done
for link in fz0 d0 nb0 u0 ${POD_LINK.host} n0; do ip link del $link; done
for link in $(ls /sys/class/net); do [ $link = lo ] || ip link del $link; done
nft flush ruleset
for folder in /var/lib/cni /run/vf-flower /etc/vf-flower ${FUZZ} ${IPAM_FOLDER} /srv/trap; do
  rm -rf $folder/* $folder/.[!.]*
done
true`

/** The neighbour's attachments, made before all calls: they must be there after all calls. */
export const NEIGHBOUR: readonly (readonly [plugin: Plugin, ifname: string, config: Tree])[] = [
  ['vf-attach', 'net1', { cniVersion: '1.0.0', name: 'neighbour', type: 'vf-attach', device: 'nb0' }],
  [
    'vf-offload',
    'eth0',
    {
      ...{ cniVersion: '1.0.0', name: 'neighbour', type: 'vf-offload' },
      prevResult: {
        cniVersion: '1.0.0',
        interfaces: [
          { name: 'n0', mac: '02:00:00:00:00:12' },
          { name: 'eth0', mac: '02:00:00:00:00:13', sandbox: '/run/netns/neighbour' },
        ],
        ips: [{ address: '10.244.2.2/24', gateway: '10.244.2.1', interface: 1 }],
      },
      runtimeConfig: { portMappings: [{ hostPort: 7_000, containerPort: 80, protocol: 'tcp' }] },
    },
  ],
]
