/** A look in the form in which it is compared. In: answers of the guest. Out: texts, and lines that differ. */
import type { JsonObject } from '../../src/lib/json.ts'
import type { LookAnswer, Place } from './script.ts'

/** Fields of `ip -d -j link` that change by themselves; the reasons stand in hack/lab/bed/snapshot.ts. */
const volatile = new Set(['ifindex', 'qdisc', 'permaddr', 'operstate'])
/** Flags of an interface that follow its carrier. */
const carrierFlags = new Set(['LOWER_UP', 'NO-CARRIER'])

/** A VF on the host: the PF's view of it and its interface there, undefined if that is elsewhere. */
export interface VfState {
  readonly info: string
  /** The MAC that the PF reports; none or the VF's own as long as no ADD has set one. */
  readonly pfMac: string
  readonly link: string | undefined
  readonly mac: string | undefined
}

/** The state of one VF in a look. */
export function vfState(look: LookAnswer, { index, pci }: Place['vfs'][number]): VfState {
  const { address, ...info } = look.vfinfo[String(index)] ?? {}
  const link = look.host.find(({ parentdev }) => parentdev === pci)
  return {
    info: JSON.stringify(info),
    pfMac: String(address),
    link: link === undefined ? undefined : stable(link),
    mac: link === undefined ? undefined : String(link.address),
  }
}

/**
 * Lines that say how a VF differs from what it was; none if it is as before. `own` is its own MAC, which a VF may tell its
 * PF at any time, as long as the PF has set none.
 */
export function vfDifferences(before: VfState, now: VfState, own = before.mac): string[] {
  const lines: string[] = []
  if (now.info !== before.info) lines.push(`on the PF: ${before.info} -> ${now.info}`)
  if (now.link !== before.link) lines.push(`interface: ${before.link ?? 'none'} -> ${now.link ?? 'none'}`)
  const none = '00:00:00:00:00:00'
  if (now.pfMac !== none && now.pfMac !== own && now.pfMac !== before.pfMac) {
    lines.push(`MAC on the PF: ${before.pfMac} -> ${now.pfMac}`)
  }
  return lines
}

/** Everything of a lane that must be as before when nothing is attached. */
export function laneDifferences(place: Place, before: LookAnswer, now: LookAnswer): string[] {
  const lines = place.vfs.flatMap((vf) =>
    vfDifferences(vfState(before, vf), vfState(now, vf)).map((line) => `${vf.pci}: ${line}`),
  )
  for (const name of place.devices) {
    const [old, live] = [before, now].map((look) => look.host.find(({ ifname }) => ifname === name))
    if (old === undefined || live === undefined || stable(old) !== stable(live)) {
      lines.push(`${name}: ${JSON.stringify(old)} -> ${JSON.stringify(live)}`)
    }
  }
  for (const file of Object.keys(now.records)) lines.push(`record left: ${file}`)
  for (const [file, owner] of Object.entries(now.addresses)) {
    lines.push(`address left: ${file} of ${owner.split(/\s/)[0] ?? ''}`)
  }
  return lines
}

/** An interface as text, without what changes by itself. */
export function stable(link: JsonObject): string {
  const entries = Object.entries(link).filter(([key]) => !volatile.has(key))
  const flags = (link.flags as string[]).filter((flag) => !carrierFlags.has(flag))
  // Things that a bridge knows of its port: timers, and a state that follows the carrier.
  const { info_slave_data: _, ...info } = (link.linkinfo as JsonObject | undefined) ?? {}
  return JSON.stringify({ ...Object.fromEntries(entries), linkinfo: info, flags: flags.sort() })
}
