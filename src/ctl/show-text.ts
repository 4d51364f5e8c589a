/** The output of `vfctl show` for people. Pure. */
import type { FilterCounters, Passed } from '../kernel/api/counters.ts'
import type { LimitCounters } from '../kernel/api/rates.ts'
import type { LimitPart, ServedByHost, ShownRule } from '../offload/state/shown.ts'
import type { Showing, Shown } from './show.ts'

/** A paragraph for each attachment. `wanted`: the container, or the pod, and the interface that were asked for; none: all. */
export function showText({ attachments }: Showing, wanted: readonly string[] = []): string {
  if (attachments.length === 0) {
    const [container, ifname] = wanted
    const of = container === undefined ? '' : ` of "${container}"`
    return `no attachments${of}${ifname === undefined ? '' : `, interface "${ifname}"`}\n`
  }
  return `${attachments.map((one) => paragraph(one).join('\n')).join('\n\n')}\n`
}

function paragraph(shown: Shown): string[] {
  const { plugin, containerID, ifname, network, alive, complete, device, traffic, mappings, rules, limits } =
    shown
  const lines = [`${containerID} ${ifname}, network ${network}, by ${plugin}`]
  if (!complete) lines.push('  its ADD never came to an end')
  if (shown.pendingClose === true)
    lines.push('  its DEL was called while a program had the device open: it is restored when it is closed')
  if (!alive) lines.push('  its network namespace is gone')
  if (device !== undefined) {
    const place = device.vf === undefined ? '' : ` (VF ${device.vf} of ${device.pf ?? 'a PF that is gone'})`
    lines.push(`  device ${device.id}${place}, driver ${device.driver ?? 'none'}`)
  }
  if (traffic !== undefined)
    lines.push(`  ${ifname} in the pod received ${passed(traffic.received)}, sent ${passed(traffic.sent)}`)
  for (const { mapping, host, redirectAlone } of mappings) {
    const own = rules.filter((rule) => rule.mapping === mapping)
    const isNic = own.length > 0 && own.every(({ where }) => where === 'nic')
    const inNic = redirectAlone ? 'in the NIC by redirect alone' : 'in the NIC'
    lines.push(`  ${mapping}: ${isNic ? inNic : 'in software'}`)
    for (const refusal of new Set(own.flatMap((rule) => rule.refusal ?? [])))
      lines.push(`    the NIC did not take it: ${refusal}`)
    lines.push(...own.flatMap(ruleLines), ...host.map(hostLine))
    if (isOneWay(own)) lines.push(oneWayWords)
  }
  const names = new Set(mappings.map(({ mapping }) => mapping))
  const shared = rules.filter(({ mapping }) => !names.has(mapping))
  for (const name of new Set(shared.map(({ mapping }) => mapping)))
    lines.push(`  ${name}:`, ...shared.filter(({ mapping }) => mapping === name).flatMap(ruleLines))
  for (const { direction, rate, where = 'nowhere', means = 'not finished', ...limit } of limits) {
    const { counts, refusals = [], parts } = limit
    const what = direction === 'toPod' ? 'what comes to the pod' : 'what the pod sends'
    const unit = counts === undefined ? '' : `, counts ${counted[counts]}`
    lines.push(`  ${what} is limited to ${rate} bit/s: ${places[where]} (${means}${unit})`)
    lines.push(...refusals.map((words) => `    not otherwise: ${words}`), ...parts.flatMap(partLines))
  }
  return lines
}

/** The place at which a limit is enforced. */
const places = {
  nic: 'in the NIC',
  host: 'on the host',
  pod: 'in the pod, which can take it away with CAP_NET_ADMIN',
  nowhere: 'nowhere',
} as const

/** The bytes that a limit counts. */
const counted = { frame: 'frames', packet: 'IP packets' } as const

const oneWayWords =
  '    the NIC has counted requests and not one reply: nobody answers, or it does not do all that the rules say (compare "vfctl show" after traffic with offload "off")'

/** A driver may accept a rule, say `in_hw` and ignore a part of it: then frames are counted in and nothing comes back. */
function isOneWay(rules: readonly ShownRule[]): boolean {
  const counted = (direction: ShownRule['direction']) =>
    rules
      .filter((rule) => rule.direction === direction && rule.where === 'nic')
      .reduce((sum, { counters }) => sum + (counters?.hardware.packets ?? 0n), 0n)
  const hasReplies = rules.some(({ direction, where }) => direction === 'from' && where === 'nic')
  return hasReplies && counted('to') >= enoughRequests && counted('from') === 0n
}

/** A TCP client that gets no answer sends as many within seconds. */
const enoughRequests = 3n

/** The kernel counts a connection when it is opened: no packet after the first one is looked up. */
function hostLine({ line, isThere, connections }: ServedByHost): string {
  const counted = connections === undefined ? 'not counted' : `${connections} connections`
  return `    by the host's nftables: ${line}, ${isThere ? counted : 'is not there'}`
}

function partLines(part: LimitPart): string[] {
  const words = part.kind === 'setting' ? settingWords(part) : limitWords(part.counters)
  return [`    ${part.line}`, `      ${words}`]
}

/** Nobody counts what a rate of VF or port lets pass: all that there is to show is whether it is still set. */
function settingWords({ wanted, now }: Extract<LimitPart, { kind: 'setting' }>): string {
  if (now === undefined) return 'can not be read back; no counters'
  const is = now === 0 ? 'no limit' : `${now} bit/s`
  return now === wanted ? `set to ${is}; no counters` : `set to ${is} now, not ${wanted} bit/s; no counters`
}

function limitWords(counters: LimitCounters | undefined): string {
  if (counters === undefined) return 'is not there'
  const { dropped, conformed, overLimit, waiting } = counters
  const parts = [
    placeWords(counters),
    conformed === undefined ? '' : `${conformed} packets let through`,
    `${dropped} packets dropped`,
    overLimit === undefined ? '' : `waited ${overLimit} times`,
    waiting === undefined ? '' : `${passed(waiting)} waiting`,
  ]
  return parts.filter((words) => words !== '').join(', ')
}

function ruleLines({ line, counters, delivery }: ShownRule): string[] {
  const counted = counters === undefined ? 'is not there' : placeWords(counters)
  return [`    ${line}`, `      ${counted}${delivery === undefined ? '' : ` (${delivery})`}`]
}

/** Hardware where there is some, and software. */
function placeWords({ hardware, software, inHw }: FilterCounters): string {
  const counted = `software ${passed(software)}`
  return inHw || hardware.packets > 0n ? `hardware ${passed(hardware)}, ${counted}` : counted
}

function passed({ packets, bytes }: Passed): string {
  return `${packets} packets ${bytes} bytes`
}
