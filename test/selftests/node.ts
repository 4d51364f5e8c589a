/**
 * Machine, cards and cables for the tests of the kernel's folder net/forwarding. These expect pairs of ports that are joined by a
 * cable, and offload at all of them. Card 0 is the switch: its representors are the switch's ports, and each VF behind one is joined
 * by software to the wire of another card, whose PF is the host. In: nothing. Out: a machine in which a test can be run.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadSimnic, setMode, setVfs, unloadSimnic, watchKernelLog } from '../../hack/lab/bed/simnic.ts'
import { kernelSelftests } from '../../hack/lab/kernel.ts'
import { bootLab } from '../../hack/lab/lab.ts'
import type { Selftest } from './list.ts'

const PAIRS = 3
/** host, port, port, host, port, host: the order that all tests of this folder expect. */
const PORTS = ['simpf1', 'simpf0rep0', 'simpf0rep1', 'simpf2', 'simpf0rep2', 'simpf3']
/** Packets whose sending is timed. */
const SAMPLE = 3_000
/** A test that takes longer has stopped somewhere. */
const LONGEST_MS = 900_000

/** A machine with the cards. */
export interface Node {
  readonly kernel: string
  /** Runs these functions of a test, without any all of them, to the end; returns its output and exit code. Fails after 15 minutes. */
  run(test: Selftest, functions: readonly string[]): Promise<{ output: string; code: number }>
  /** Packets of 1,000 bytes that mausezahn sends per second from the first host to the port at its cable. */
  packetsPerSecond(): Promise<number>
  /** Unloads simnic and ends the machine; returns the kernel's complaints. */
  close(): Promise<string[]>
}

/** Boots the machine and wires the cards. */
export async function startNode(): Promise<Node> {
  const folder = join(await kernelSelftests(), 'forwarding')
  const vm = await bootLab({ wires: 0 })
  const trouble = await watchKernelLog(vm)
  const cards = await loadSimnic(vm, { cards: PAIRS + 1, totalVfs: PAIRS })
  const [first] = cards
  if (first !== undefined) await setVfs(vm, first, PAIRS)
  for (const card of cards) await setMode(vm, card, 'switchdev')
  await vm.must(`set -e
    for pair in $(seq ${PAIRS}); do
      wire=simwire$pair; vf=simpf0vf$((pair - 1))
      for end in $wire $vf; do
        echo 1 >/proc/sys/net/ipv6/conf/$end/disable_ipv6
        ip link set $end up
        tc qdisc add dev $end clsact
      done
      tc filter add dev $wire ingress matchall action mirred egress redirect dev $vf
      tc filter add dev $vf ingress matchall action mirred egress redirect dev $wire
    done`)
  const config = await readFile(join(import.meta.dirname, 'forwarding.config'), 'utf8')
  // The cache is read-only in the machine; the machine has its own layer above.
  await vm.writeFile(join(folder, 'forwarding.config'), config)
  return {
    kernel: vm.kernel,
    async run(test, functions) {
      const { stdout, code } = await vm.exec(
        ['bash', '-c', `exec 9>&1 2>&1; exec bash ${test.name}.sh ${PORTS.join(' ')}`],
        {
          cwd: folder,
          timeoutMs: LONGEST_MS,
          env: {
            TESTS: functions.join(' '),
            VF_SWITCH: PORTS.filter((name) => name.startsWith('simpf0')).join(' '),
            VF_FORCE: test.force === true ? 'yes' : '',
          },
        },
      )
      return { output: stdout, code }
    },
    async packetsPerSecond() {
      const [host, port] = PORTS
      const milliseconds = await vm.must(`set -e
        ip link set ${host} up; ip link set ${port} up
        begin=$(date +%s%N); mausezahn ${host} -c ${SAMPLE} -p 1000 -a own -b bcast -q >/dev/null 2>&1
        echo $((($(date +%s%N) - begin) / 1000000))`)
      return Math.round((SAMPLE * 1_000) / Math.max(1, Number(milliseconds)))
    },
    async close() {
      await unloadSimnic(vm)
      const complaints = await trouble()
      await vm.close()
      return complaints
    },
  }
}
