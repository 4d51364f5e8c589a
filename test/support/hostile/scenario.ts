// One scenario: a pod gets the device, does what it does at some time, and ends; then the host is looked at, and the next pod gets the
// device. In: a bed, a phase, actions. Out: what did not hold, a line each. Both a clean device and a refusal that says why are right.

import { WAIT_UNTIL } from '../../../hack/lab/bed/topology.ts'
import type { ExecResult } from '../../../hack/lab/lab.ts'
import { type Action, HOSTILE_FOLDER, isSoftware, PRELUDE } from './action.ts'
import {
  ADDRESS,
  addressed,
  different,
  EVIL,
  endPod,
  type HostileBed,
  lookAtDevices,
  NEIGHBOUR,
  NEXT,
  SLOW_IPAM,
  tenantView,
  type View,
  view,
  viewDifferences,
} from './bed.ts'

/** The time at which the pod acts, and the way in which it ends. */
export const PHASES = ['between', 'ADD', 'failing ADD', 'racing DEL', 'death', 'death, GC'] as const
export type Phase = (typeof PHASES)[number]

/** Looks to compare with: taken once, and again after each renewal of the device. */
export interface Baseline {
  readonly before: View
  /** A pod's look at a clean device. */
  readonly tenant: string
}

export interface Outcome {
  /** Rules that did not hold. */
  readonly complaints: readonly string[]
  /** The words of CHECK: '' for none. */
  readonly check: string
  /** The first words of DEL or GC: '' for none. */
  readonly end: string
}

const POD_PL = new URL('pod.pl', import.meta.url).pathname
/** True when another plugin is tried in vf-attach's place. */
const IS_PEER = process.env.VF_HOSTILE_PLUGIN !== undefined
const MARK = 'c0ffee5eed'

const said = ({ code, stdout, stderr }: ExecResult): string => {
  if (code === 0) return ''
  try {
    const {
      msg,
      code: number,
      details,
    } = JSON.parse(stdout) as { msg: string; code: number; details?: string }
    return `${number} ${msg}${details === undefined ? '' : ` (${details})`}`
  } catch {
    return `exit code ${code}: ${stdout}${stderr}`
  }
}

/** Takes the state to compare with, from a pod that does nothing. */
export async function baseline(bed: HostileBed): Promise<Baseline> {
  if (IS_PEER) {
    // Some plugins leave an alias with every pod, which is not the pod's doing.
    await bed.calls.add(addressed(bed, NEXT), NEXT)
    await bed.calls.del(addressed(bed, NEXT), NEXT)
  }
  const before = await view(bed)
  if (before.neighbour.includes('deaf'))
    throw new Error('The neighbour reaches nobody, whatever the pod does')
  await bed.calls.add(addressed(bed, NEXT), NEXT)
  const tenant = await tenantView(bed.lab, NEXT)
  await bed.calls.del(addressed(bed, NEXT), NEXT)
  const differences = viewDifferences(before, await view(bed))
  if (differences.length > 0) throw new Error(['A pod that does nothing leaves:', ...differences].join('\n'))
  return { before, tenant }
}

/** Runs one scenario. Throws when an action fails, because the scenario shows nothing then. */
export async function scenario(
  bed: HostileBed,
  base: Baseline,
  phase: Phase,
  actions: readonly Action[],
): Promise<Outcome> {
  const { lab, calls } = bed
  const complaints: string[] = []
  await lab.must(`${endPod(true)}; rm -rf ${HOSTILE_FOLDER}; mkdir -p ${HOSTILE_FOLDER}
    ip netns add ${EVIL}; ip -n ${EVIL} link set lo up`)
  await writeScripts(bed, actions)
  let check = ''
  const slow = phase === 'ADD' || phase === 'failing ADD'
  const config = slow ? bed.config({ ipam: { type: SLOW_IPAM } }) : addressed(bed, EVIL)
  if (phase === 'failing ADD') await lab.must(`touch ${HOSTILE_FOLDER}/no-lease`)
  const add = await calls.call('ADD', config, EVIL)
  if (slow) await mustHaveActed(bed)
  if (phase === 'failing ADD') {
    if (add.code === 0) complaints.push('ADD succeeds though IPAM has no lease')
    else if (!/no lease/.test(said(add))) complaints.push(`ADD does not say why it failed: ${said(add)}`)
  } else if (add.code !== 0 && !slow) throw new Error(`ADD: ${said(add)}`)

  if (phase === 'between' || phase.startsWith('death')) await act(bed)
  if (phase === 'between' && add.code === 0) {
    const prevResult = JSON.parse(add.stdout)
    check = said(await calls.call('CHECK', config, EVIL, { prevResult }))
    if (actions.length === 1) complaints.push(...checkComplaints(actions[0] as Action, check))
  }
  if (phase === 'racing DEL') await startLoop(bed)
  if (phase.startsWith('death')) await lab.must(endPod(false))

  const finish = (): Promise<ExecResult> =>
    phase === 'death, GC'
      ? calls.call('GC', bed.config(), EVIL, {
          cniVersion: '1.1.0',
          config: { 'cni.dev/valid-attachments': [{ containerID: NEIGHBOUR, ifname: 'net1' }] },
        })
      : calls.call('DEL', config, EVIL, phase === 'death' ? { netns: '' } : {})
  const end = said(await finish())
  if (end !== '') {
    if (!/^103 /.test(end)) complaints.push(`the end is refused with another code than 103: ${end}`)
    const next = await calls.call('ADD', addressed(bed, NEXT), NEXT)
    if (next.code === 0) complaints.push(`the end was refused (${end}), but the next pod gets the device`)
    // The loop may have been over, with the device at home: only the following calls count.
    if (next.code === 0) await calls.call('DEL', addressed(bed, NEXT), NEXT)
    // The end of the pod resolves the refusal.
    await lab.must(endPod(true))
    const again = await untilItEnds(bed, async () =>
      said(await calls.call('DEL', config, EVIL, { netns: '' })),
    )
    if (again !== '') complaints.push(`DEL of a pod that is gone: ${again}`)
  }
  await lab.must(`touch ${HOSTILE_FOLDER}/stop`)
  if (phase === 'racing DEL')
    await lab.must(`while kill -0 $(cat ${HOSTILE_FOLDER}/loop) 2>/dev/null; do sleep 0.02; done`)
  complaints.push(...(await afterwards(bed, base, end !== '')))
  await lab.must(`${endPod(true)}; rm -rf ${HOSTILE_FOLDER}`)
  return { complaints, check, end }
}

function checkComplaints({ check }: Action, told: string): string[] {
  if (check === 'either') return told === '' || /^104 /.test(told) ? [] : [`CHECK: ${told}`]
  if (check === 'passes') return told === '' ? [] : [`CHECK minds what is the pod's own business: ${told}`]
  if (told === '') return ['CHECK sees nothing']
  return /^104 /.test(told) && check.test(told) ? [] : [`CHECK does not name it: ${told}`]
}

/** Lines of look.sh about hardware settings that the driver restores at the next ADD: until then no pod has the device. */
const LATE =
  /^(was|now): \S+ (late |threaded|gro_flush_timeout|napi_defer_hard_irqs|queues\/|\/proc\/sys\/net\/ipv[46]\/neigh)/

// Checks that the device is at home and unchanged, or dead and gone, and that the next pod has it alone.
async function afterwards(bed: HostileBed, base: Baseline, refused: boolean): Promise<string[]> {
  const { lab, calls, device } = bed
  // For hardware the kernel chooses a new number when it brings the device home or the driver starts anew; the pod must not choose it.
  const isKernelsNumber = (line: string): boolean =>
    !isSoftware(bed.kind) && /^(was|now): \S+ ifindex:(?!7777$|2147483647$)/.test(line)
  const isLate = (line: string): boolean => !isSoftware(bed.kind) && LATE.test(line)
  const home = `[ -e /sys/class/net/${device.netdev} ]`
  if ((await lab.sh(home)).code !== 0) {
    const alive = await bed.isAlive()
    const differences = viewDifferences(base.before, await view(bed)).filter(
      (line) => !line.includes(device.netdev),
    )
    return [
      ...(alive
        ? [`${refused ? 'the second DEL' : 'the end'} succeeds while the device is somewhere else`]
        : []),
      ...differences,
    ]
  }
  const differences = viewDifferences(base.before, await view(bed)).filter(
    (line) => !isLate(line) && !isKernelsNumber(line),
  )
  const next = await calls.call('ADD', addressed(bed, NEXT), NEXT)
  if (next.code !== 0) return [...differences, `the next ADD: ${said(next)}`]
  const tenant = await tenantView(lab, NEXT)
  const check = said(
    await calls.call('CHECK', addressed(bed, NEXT), NEXT, { prevResult: JSON.parse(next.stdout) }),
  )
  const traffic = bed.hasWire ? await trafficComplaints(bed) : []
  const del = said(await calls.call('DEL', addressed(bed, NEXT), NEXT))
  const after = viewDifferences(base.before, { ...base.before, devices: await lookAtDevices(bed) })
  const again = after.filter((line) => !differences.includes(line) && !isKernelsNumber(line))
  return [
    ...differences,
    ...different(base.tenant, tenant).map((line) => `the next pod's interface has ${line.trim()}`),
    ...different(tenant, base.tenant).map((line) => `the next pod's interface lacks ${line.trim()}`),
    ...(check === '' ? [] : [`the next CHECK: ${check}`]),
    ...traffic,
    ...(del === '' ? [] : [`the next DEL: ${del}`]),
    ...again.map((line) => `after the next pod: ${line}`),
  ]
}

// Checks that frames arrive both ways, and that none arrive at anything that the former pod still has.
async function trafficComplaints({ lab }: HostileBed): Promise<string[]> {
  const { code, stdout, stderr } = await lab.sh(`
    ears="$(ls /run/netns/${EVIL} 2>/dev/null)"
    for pid in $(cat ${HOSTILE_FOLDER}/kept ${HOSTILE_FOLDER}/outliving 2>/dev/null); do
      [ "$(readlink /proc/$pid/ns/net)" = "$(readlink /proc/self/ns/net)" ] || ears="$ears /proc/$pid/ns/net"
    done
    ip netns exec client-a ip neigh flush all
    perl ${POD_PL} ears ${MARK} $ears -- sh -c '
      try() { ip netns exec $1 ping -q -c 1 -W 1 -p ${MARK} $2 >/dev/null 2>&1; }
      for turn in 1 2 3 4 5; do if try ${NEXT} 10.1.0.10; then echo out; break; fi; done
      for turn in 1 2 3; do if try client-a ${ADDRESS[NEXT]}; then echo in; break; fi; done'`)
  if (code !== 0) throw new Error(`Cannot look at the traffic: ${stderr}`)
  return [
    ...(stdout.includes('out\n') ? [] : ["the next pod's frames do not arrive"]),
    ...(stdout.includes('in\n') ? [] : ['the next pod hears nothing']),
    ...[...stdout.matchAll(/heard ([1-9]\d*) in (\S+)/g)].map(
      ([, , where]) => `the former pod hears the next one's frames in ${where}`,
    ),
  ]
}

// The kernel destroys a namespace in its own time, and DEL answers 103 as long as it can't know.
async function untilItEnds({ lab }: HostileBed, call: () => Promise<string>): Promise<string> {
  for (let tries = 0; ; tries++) {
    const told = await call()
    if (told === '' || tries === 3) return told
    await lab.must('sleep 0.3')
  }
}

async function writeScripts(bed: HostileBed, actions: readonly Action[]): Promise<void> {
  const { lab, device, other } = bed
  // Changes of another action may be in the way of a second one.
  const all = actions.map(
    ({ script }, index) => `(set -e
cd ${HOSTILE_FOLDER}
${script}
) || ${index === 0 ? 'exit 1' : 'true'}`,
  )
  await lab.writeFile(
    `${HOSTILE_FOLDER}/act`,
    `${PRELUDE}
MAC=${device.mac}; HOME_NAME=${device.netdev}; OTHER=${other}; POD=/run/netns/${EVIL}; POD_PL=${POD_PL}
NUMBER=$(cat /sys/class/net/net1/ifindex 2>/dev/null); POD_PID=$$
FREE=7777; OTHER_NUMBER=$(cat ${HOSTILE_FOLDER}/other-number)
${all.join('\n')}
`,
  )
  await lab.writeFile(`${HOSTILE_FOLDER}/start`, `exec ip netns exec ${EVIL} sh ${HOSTILE_FOLDER}/act\n`)
  await lab.must(`cat /sys/class/net/${other}/ifindex >${HOSTILE_FOLDER}/other-number`)
}

async function act({ lab }: HostileBed): Promise<void> {
  const { code, stdout, stderr } = await lab.sh(`sh ${HOSTILE_FOLDER}/start`)
  if (code !== 0) throw new Error(`The action could not be done: ${stdout}${stderr}`)
}

async function mustHaveActed({ lab }: HostileBed): Promise<void> {
  const { code, stdout } = await lab.sh(
    `[ ! -e ${HOSTILE_FOLDER}/failed ] || { cat ${HOSTILE_FOLDER}/log; exit 1; }`,
  )
  if (code !== 0) throw new Error(`The action could not be done: ${stdout}`)
}

// The loop begins before the DEL and goes on until the DEL has ended.
async function startLoop({ lab }: HostileBed): Promise<void> {
  await lab.must(`${WAIT_UNTIL}
    cat >${HOSTILE_FOLDER}/again <<'END'
turn=0
while [ ! -e ${HOSTILE_FOLDER}/stop ] && [ $turn -lt 200 ]; do
  sh ${HOSTILE_FOLDER}/act
  touch ${HOSTILE_FOLDER}/begun; turn=$((turn + 1))
done
END
    setsid ip netns exec ${EVIL} sh ${HOSTILE_FOLDER}/again >/dev/null 2>&1 </dev/null & echo $! >${HOSTILE_FOLDER}/loop
    begun() { [ -e ${HOSTILE_FOLDER}/begun ]; }
    wait_until begun`)
}

/** True for a phase after which a software device is dead. */
export function kills(phase: Phase, bed: HostileBed): boolean {
  return phase.startsWith('death') && isSoftware(bed.kind)
}
