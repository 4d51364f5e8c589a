// VFs of the lab's igb without the rest of the topology. In: a Lab. Out: the PF, up and with carrier, and its VFs.

import { describe, loadIgb, type Topology } from '../../hack/lab/bed/topology.ts'
import type { Lab } from '../../hack/lab/lab.ts'

/** Makes `count` VFs (1-7); resolves when the PF has a carrier and each VF its netdev. */
export async function makeVfs(lab: Lab, count: number): Promise<Topology> {
  const ends = await loadIgb(lab)
  await lab.must(
    `echo $COUNT >/sys/class/net/$PF/device/sriov_numvfs
    ip link set $WIRE up; ip link set $PF up
    tries=0
    until [ "$(cat /sys/class/net/$PF/carrier)" = 1 ] &&
      [ "$(ls -d /sys/class/net/$PF/device/virtfn*/net/* 2>/dev/null | wc -l)" = $COUNT ]; do
      tries=$((tries + 1)); if [ $tries -gt 600 ]; then echo "no $COUNT VFs within 30 s" >&2; exit 1; fi
      sleep 0.05
    done`,
    { env: { PF: ends.pf, WIRE: ends.wire, COUNT: String(count) } },
  )
  return describe(lab, ends)
}

/** Removes the VFs, and takes both ends of the wire down. */
export async function removeVfs(lab: Lab, { pf, wire }: Topology): Promise<void> {
  await lab.must(
    `echo 0 >/sys/class/net/$PF/device/sriov_numvfs
    while ls -d /sys/class/net/$PF/device/virtfn* >/dev/null 2>&1; do sleep 0.05; done
    ip link set $PF down; ip link set $WIRE down`,
    { env: { PF: pf, WIRE: wire } },
  )
}

/** Resets the VFs' interfaces to their state after creation: no alias, the usual queue and MTU, down. */
export async function resetVfs(lab: Lab, { vfs }: Topology): Promise<void> {
  const names = vfs.flatMap(({ netdev }) => netdev ?? [])
  await lab.must(
    names.map((name) => `ip link set dev ${name} alias '' txqueuelen 1000 mtu 1500 down`).join('\n'),
  )
}
