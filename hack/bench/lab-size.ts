/**
 * The calls of one more VF by the number of VFs whose ports are mapped already, on a simulated NIC with 64 VFs in switchdev mode. In: a
 * lab. Out: a table.
 */
import { median, ms, table } from '../bench-table.ts'
import { type Card, loadSimnic, setMode, setVfMacs, setVfs, unloadSimnic } from '../lab/bed/simnic.ts'
import type { Lab } from '../lab/lab.ts'
import { judged, type Verb } from './series.ts'

const VFS = 64
const ROUNDS = Number(process.env.BENCH_LAB_SIZE_ROUNDS ?? 15)
/** Calls before the first that counts: a worker runs much code for the first time then. */
const WARMUP = 5
const BAR = 1.3
const VERBS: readonly Verb[] = ['ADD', 'CHECK', 'DEL']
const BRIDGE = 'br-size'
const longest = { timeoutMs: 1_800_000 }

/** Measures in a booted machine, and prints. */
export async function sizeInLab(lab: Lab): Promise<void> {
  const [card] = await loadSimnic(lab, { totalVfs: VFS })
  if (card === undefined) throw new Error('the simulated NIC has no card')
  try {
    await makeNode(lab, card)
    const first = await measured(lab)
    const others = `for vf in $(seq 0 ${VFS - 2}); do call ADD $vf >/run/size-out || { cat /run/size-out >&2; exit 1; }; done`
    await lab.must(script(others), longest)
    const last = await measured(lab)
    console.log(`\nOne more VF on a simulated NIC in the lab with ${VFS} VFs, ${ROUNDS} rounds (ms, medians)`)
    table(
      ['call', 'no other is mapped', `${VFS - 1} others are`, '/'],
      VERBS.map((verb, at) => {
        const [base, time] = [median(first[at] ?? []), median(last[at] ?? [])]
        return [verb, ms(base), ms(time), judged(time / base, BAR)]
      }),
    )
  } finally {
    const gone = `for vf in $(seq 0 ${VFS - 1}); do call DEL $vf >/dev/null; ip netns del size-$vf; done
      ip link del ${BRIDGE}; rm -f /run/size-*; true`
    await lab.must(script(gone), longest)
    await unloadSimnic(lab)
  }
}

/** The PF in a bridge with the node's address, each VF in a pod with an address, and a config with one mapping for each. */
async function makeNode(lab: Lab, card: Card): Promise<void> {
  await setVfs(lab, card, VFS)
  await setMode(lab, card, 'switchdev')
  await setVfMacs(lab, card)
  const config = JSON.stringify({
    ...{ cniVersion: '1.0.0', name: 'size', type: 'vf-offload', deviceID: 'DEVICE' },
    prevResult: {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'net1', mac: 'MAC', sandbox: '/run/netns/size-VF' }],
      ips: [{ address: 'ADDRESS/24', interface: 0 }],
    },
    runtimeConfig: { portMappings: [{ hostPort: 'PORT', containerPort: 80, protocol: 'tcp' }] },
  }).replace('"PORT"', 'PORT')
  await lab.must(
    `set -e
    ip link add ${BRIDGE} up type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    ip link set ${card.pf} master ${BRIDGE} up
    ip address add 10.1.0.1/24 dev ${BRIDGE}
    for vf in $(seq 0 ${VFS - 1}); do
      ip link set ${card.pf}rep$vf up
      function=/sys/class/net/${card.pf}/device/virtfn$vf
      name=$(ls $function/net)
      mac=$(cat $function/net/$name/address)
      address=10.1.0.$((100 + vf))
      ip netns add size-$vf
      ip link set $name netns size-$vf name net1
      ip -n size-$vf address add $address/24 dev net1
      ip -n size-$vf link set net1 up
      echo '${config}' | sed "s/DEVICE/$(basename "$(readlink $function)")/; s/MAC/$mac/; s/VF/$vf/
        s/ADDRESS/$address/; s/PORT/$((8000 + vf))/" >/run/size-$vf
    done`,
    longest,
  )
}

/** The milliseconds of each round of the last VF, for each verb. */
async function measured(lab: Lab): Promise<readonly (readonly number[])[]> {
  const rounds = `for round in $(seq ${WARMUP + ROUNDS}); do
      for verb in ${VERBS.join(' ')}; do
        begin=$(date +%s%N); call $verb ${VFS - 1} >/run/size-out || { cat /run/size-out >&2; exit 1; }
        end=$(date +%s%N); printf '%s ' $(((end - begin) / 1000))
      done; echo
    done`
  const times = (await lab.must(script(rounds), longest))
    .trim()
    .split('\n')
    .slice(WARMUP)
    .map((line) => line.trim().split(' ').map(Number))
  return VERBS.map((_, at) => times.map((round) => (round[at] ?? Number.NaN) / 1000))
}

/** A script with the function `call VERB VF`, which calls the plugin. */
function script(body: string): string {
  return `call() {
      env CNI_COMMAND=$1 CNI_CONTAINERID=size-$2 CNI_NETNS=/run/netns/size-$2 CNI_IFNAME=net1 CNI_PATH=/usr/lib/cni \\
        dist/vf-offload </run/size-$2
    }
    ${body}`
}
