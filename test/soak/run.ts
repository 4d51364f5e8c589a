/**
 * Has jobs carried out in the guest. In: a Lab whose VFs are made, lanes. Out: the answers. The plugin under test is the
 * build with the fault hook; addresses come from the distribution's host-local.
 */
import { fileURLToPath } from 'node:url'
import type { Topology } from '../../hack/lab/bed/topology.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { askStatus, freshAgent } from '../support/warm-agent.ts'
import type { JobAnswer, Lane, Order, Place } from './script.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))
const toolFolder = '/run/vf-soak'
/** The folder in which both plugins keep their records. */
const stateFolder = '/var/lib/cni/vf-flower'

/**
 * Prepares the machine once: IPv6 off for what appears on the host, so that no interface waits for duplicate address
 * detection there, and an address manager that knows GC. Whoever needs igb loads it before: its ends would be born without
 * IPv6 and stay so for every file after this one.
 */
export async function prepareGuest(lab: Lab): Promise<void> {
  await lab.must('echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6')
  await lab.writeFile(`${toolFolder}/host-local`, HOST_LOCAL, 0o755)
  await lab.writeFile(`${toolFolder}/quick/host-local`, QUICK_LOCAL, 0o755)
}

/** Takes away what `prepareGuest` has brought. */
export async function leaveGuest(lab: Lab): Promise<void> {
  await lab.must(
    `echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6; rm -rf ${toolFolder} /var/lib/cni/networks`,
  )
}

/** Shares a PF's VFs out among `count` lanes, `each` for every one. */
export function placesOf({ pf, vfs }: Pick<Topology, 'pf' | 'vfs'>, count: number, each: number): Place[] {
  return Array.from({ length: count }, (_, lane) => ({
    pf,
    vfs: vfs.slice(lane * each, (lane + 1) * each).map(({ index, pci }) => ({ index, pci })),
    devices: [],
    network: `soak-${lane}`,
  }))
}

/** An `ipam` section for a lane: one IPv4 and one IPv6 address, and a route. */
export function addressesFor({ network }: Place): JsonObject {
  const lane = network.replace(/\D+/, '')
  return {
    type: 'host-local',
    ranges: [
      [{ subnet: `10.77.${lane}.0/24`, gateway: `10.77.${lane}.1` }],
      [{ subnet: `fd00:77:${lane}::/64`, gateway: `fd00:77:${lane}::1` }],
    ],
    routes: [{ dst: '10.2.0.0/16' }],
  }
}

/** Each machine of this run of tests has an agent (test/support/lab.ts). */
const hasAgent = process.env.VF_TEST_AGENT !== undefined

/** The plugin that is run, and the listener that hears of it. */
export interface RunOptions {
  /** Default vf-attach. */
  readonly plugin?: 'vf-attach' | 'vf-offload'
  /** With an address manager that costs next to nothing, for a lane with one attachment at a time. */
  readonly quick?: boolean
  /** An agent serves the calls, and a fault that kills strikes its worker alone. */
  readonly warm?: boolean
  /** Hears of each answer when it comes. */
  readonly onAnswer?: (answer: JobAnswer) => void
}

/** Runs all lanes beside one another; answers by job. */
export async function runLanes(
  lab: Lab,
  lanes: readonly Lane[],
  { plugin = 'vf-attach', quick = false, warm = hasAgent, onAnswer = () => undefined }: RunOptions = {},
): Promise<Map<string, JobAnswer>> {
  const answers = new Map<string, JobAnswer>()
  const take = (answer: JobAnswer) => {
    answers.set(answer.id, answer)
    onAnswer(answer)
  }
  await Promise.all(lanes.map((lane) => runLane(lab, lane, { plugin, quick, warm }, take)))
  return answers
}

async function runLane(
  lab: Lab,
  lane: Lane,
  { plugin, quick, warm }: Required<Omit<RunOptions, 'onAnswer'>>,
  take: (answer: JobAnswer) => void,
): Promise<void> {
  const order: Order = {
    plugin: `${top}dist/test/${plugin}`,
    path: `${quick ? `${toolFolder}/quick:` : ''}${toolFolder}:/usr/lib/cni`,
    records: `${stateFolder}/${plugin === 'vf-attach' ? 'attach' : 'offload'}`,
    lane,
    ...(warm ? { warm, freshAgent, agentStatus: askStatus } : {}),
  }
  const decoder = new TextDecoder()
  let rest = ''
  const { code, stderr } = await lab.exec(['sh', 'hack/bun.sh', 'test/soak/guest.ts'], {
    stdin: JSON.stringify(order),
    cwd: top,
    timeoutMs: 0,
    onStdout: (data) => {
      const lines = (rest + decoder.decode(data, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) take(JSON.parse(line) as JobAnswer)
    },
  })
  if (code !== 0) throw new Error(`the guest's half ended with ${code}: ${stderr}`)
}

// The distribution's host-local speaks 1.0.0 at most. For GC (1.1.0) this does what newer ones do: it frees the addresses of all
// attachments that are not in the list. Everything else goes to the real one.
const HOST_LOCAL = `#!/bin/sh
[ "$CNI_COMMAND" = GC ] || exec /usr/lib/cni/host-local
config=$(cat)
network=\${config#*'"name":"'}; network=\${network%%'"'*}
for file in /var/lib/cni/networks/$network/*[.:]*; do
  case $file in */last_*) continue;; esac
  [ -e "$file" ] || continue
  read -r id <"$file"; id=\${id%$(printf '\\r')}
  case $config in *'"containerID":"'$id'"'*) ;; *) rm "$file";; esac
done
`

// The same for the addresses of `addressesFor` and one attachment at a time, with the shell's own means: starting host-local
// costs half of what starting our plugin does. Who has them is written as host-local writes it.
const QUICK_LOCAL = `#!/bin/sh
IFS= read -r config
network=\${config#*'"name":"'}; network=\${network%%'"'*}; lane=\${network##*[!0-9]}
folder=/var/lib/cni/networks/$network
cd "$folder" 2>/dev/null || { mkdir -p "$folder" && cd "$folder"; } || exit 1
v4=10.77.$lane.2 v6=fd00:77:$lane::2
case $CNI_COMMAND in
  ADD)
    if [ -e $v4 ]; then echo '{"cniVersion":"1.0.0","code":100,"msg":"the address is taken"}'; exit 1; fi
    printf '%s\\r\\n%s' "$CNI_CONTAINERID" "$CNI_IFNAME" >$v4
    printf '%s\\r\\n%s' "$CNI_CONTAINERID" "$CNI_IFNAME" >$v6
    echo '{"cniVersion":"1.0.0","routes":[{"dst":"10.2.0.0/16"}],"ips":['
    echo '{"address":"'$v4/24'","gateway":"'10.77.$lane.1'"},{"address":"'$v6/64'","gateway":"'fd00:77:$lane::1'"}]}';;
  CHECK) [ -e $v4 ] || { echo '{"cniVersion":"1.0.0","code":101,"msg":"no address"}'; exit 1; };;
  *)
    for file in $v4 $v6; do
      [ -e "$file" ] || continue
      read -r id <"$file"; id=\${id%$(printf '\\r')}
      case $CNI_COMMAND in
        DEL) [ "$id" != "$CNI_CONTAINERID" ] || rm "$file";;
        GC) case $config in *'"containerID":"'$id'"'*) ;; *) rm "$file";; esac;;
      esac
    done;;
esac
`
