/** A look at a node: its cards, their mode, what of a pod's traffic will run in hardware, and what the kernel lacks. Reads only. */

import type { EswitchMode, NetworkFacts, NetworkLink } from '../kernel/api/network-facts.ts'
import type { ProbeKernel } from '../kernel/api/probe.ts'
import { errorText } from '../lib/error-text.ts'
import { type PciAddress, parsePciAddress } from '../lib/pci-address.ts'
import { pciDevices, portsOf, readPciFunction } from '../nic/pci.ts'
import { ignoredActions } from '../offload/port/driver-words.ts'
import { driverFacts, isKnownDriver } from '../offload/port/drivers.ts'
import { listFolder, readText } from '../sys/files.ts'

/** A card that can have virtual functions: one PF. */
export interface CardCheck {
  readonly pf: PciAddress
  readonly driver: string | undefined
  /** Interfaces of the host that lead to the wire. */
  readonly interfaces: readonly string[]
  readonly vfs: { readonly now: number; readonly most: number }
  /** Mode of the eSwitch; undefined: the card has none, or devlink does not tell. */
  readonly mode: EswitchMode | undefined
  /** True where filters can run in the card. */
  readonly isInHardware: boolean
  /** Reasons that keep filters out of the card, or pods off the wire; each with the way out. */
  readonly hindrances: readonly string[]
}

/** See the head of this file. */
export interface NodeCheck {
  readonly cards: readonly CardCheck[]
  /** Things that pods can ask for and this kernel, or the program nft, can't do: one line for each. */
  readonly missing: readonly string[]
  /** Questions that nobody answered. */
  readonly unanswered: readonly string[]
}

/** All that a pod can ask for of a node with cards, and of one without. */
const onCards = {
  ports: true,
  steering: true,
  inPod: true,
  translation: true,
  tags: true,
  rates: true,
  shapers: true,
  police: true,
}
const onBridges = {
  ...onCards,
  ...{ steering: false, inPod: false, translation: false, tags: false, police: false },
}

/** Looks at this node. Never throws: what can't be asked is named in the answer. */
export function checkNode(
  kernel: Pick<ProbeKernel, 'missingNeeds'>,
  facts: NetworkFacts,
  folder = pciDevices,
): NodeCheck {
  const unanswered: string[] = []
  const ask = <T>(what: string, question: () => T, otherwise: T): T => {
    try {
      return question()
    } catch (error) {
      unanswered.push(`${what}: ${errorText(error)}`)
      return otherwise
    }
  }
  const pfs = ask('the cards', () => pfsIn(folder), [])
  const links = pfs.length === 0 ? [] : ask('the interfaces', () => facts.links(), [])
  const modes =
    pfs.length === 0
      ? new Map<string, never>()
      : ask("the cards' modes (devlink)", () => facts.eswitchModes(pfs), new Map())
  const offloads = (ifindex: number) =>
    ask('hw-tc-offload', () => facts.tcOffloads([ifindex]).get(ifindex), undefined)
  return {
    cards: pfs.flatMap((pf) =>
      ask(pf, () => cardOf(pf, { folder, links, mode: modes.get(pf), offloads }) ?? [], []),
    ),
    missing: ask('the kernel', () => kernel.missingNeeds(pfs.length === 0 ? onBridges : onCards), []),
    unanswered,
  }
}

function pfsIn(folder: string): readonly PciAddress[] {
  return listFolder(folder).flatMap((name) => {
    const address = parsePciAddress(name)
    if (address === undefined || readText(`${folder}/${name}/class`)?.startsWith('0x02') !== true) return []
    return Number(readText(`${folder}/${name}/sriov_totalvfs`) ?? 0) > 0 ? [address] : []
  })
}

interface Around {
  readonly folder: string
  readonly links: readonly NetworkLink[]
  readonly mode: EswitchMode | 'unsupported' | undefined
  readonly offloads: (ifindex: number) => boolean | undefined
}

function cardOf(pf: PciAddress, { folder, links, mode: told, offloads }: Around): CardCheck | undefined {
  const found = readPciFunction(pf, folder)
  if (found === undefined) return undefined
  const { driver } = found
  const interfaces = portsOf(pf, folder)
  const now = found.sriovNumvfs ?? 0
  const own = links.filter(({ name }) => interfaces.includes(name))
  const { representorsWithoutMode, managedElsewhere } = driverFacts(driver)
  const isModeless = representorsWithoutMode !== undefined
  const isTold = told === 'switchdev' || told === 'legacy'
  const mode = isTold ? told : isModeless && hasRepresentors(own, links) ? 'switchdev' : undefined
  const off = mode === 'switchdev' ? own.filter(({ ifindex }) => offloads(ifindex) === false) : []
  return {
    ...{ pf, driver, interfaces, mode },
    vfs: { now, most: Number(readText(`${folder}/${pf}/sriov_totalvfs`) ?? 0) },
    isInHardware: mode === 'switchdev' && now > 0 && off.length === 0,
    hindrances: [
      ...(now === 0 ? [`it has no VFs: echo N >${pciDevices}/${pf}/sriov_numvfs makes N of them`] : []),
      ...(interfaces.length === 0 ? ['it has no interface on the host: VFs behind it get no filters'] : []),
      ...own.filter(({ up }) => !up).map(({ name }) => `${name} is down: ip link set ${name} up`),
      ...own.filter(({ up, carrier }) => up && !carrier).map(({ name }) => `${name} has no carrier`),
      ...(isModeless && mode === undefined
        ? [
            'it has no representors, which come with the VFs where the firmware has an eSwitch: filters run on the host',
          ]
        : modeHindrances(pf, mode, told === 'unsupported' ? managedElsewhere?.where : undefined)),
      ...off.map(({ name }) => `hw-tc-offload is off: ethtool -K ${name} hw-tc-offload on`),
      ...(mode === 'switchdev' ? driverHindrances(driver) : []),
    ],
  }
}

/** True where the card has representors, although devlink tells no mode: their switch id is the uplink's port id. */
function hasRepresentors(own: readonly NetworkLink[], links: readonly NetworkLink[]): boolean {
  return own.some(
    ({ physPortId }) =>
      physPortId !== undefined && links.some(({ physSwitchId }) => physSwitchId === physPortId),
  )
}

function modeHindrances(
  pf: PciAddress,
  mode: EswitchMode | undefined,
  elsewhere: string | undefined,
): readonly string[] {
  if (mode === 'switchdev') return []
  if (elsewhere !== undefined) return [`another system manages its eSwitch (${elsewhere})`]
  if (mode === undefined) return ['it has no eSwitch that devlink knows: filters run on the host']
  return [
    `legacy mode: filters run on the host; devlink dev eswitch set pci/${pf} mode switchdev, with its VFs unbound, lets them run in the card`,
  ]
}

function driverHindrances(driver: string | undefined): readonly string[] {
  if (!isKnownDriver(driver))
    return [`nothing is known of the driver "${driver ?? 'none'}": "vfctl show" tells where filters run`]
  const { redirectsOnly } = driverFacts(driver)
  const ignored = ignoredActions(driver, ['csum'])
  return [
    ...(redirectsOnly === undefined
      ? []
      : [
          `driver "${driver}" takes redirects alone: addresses are translated in the pod (${redirectsOnly.source})`,
        ]),
    ...(ignored === undefined ? [] : [`${ignored}: addresses are translated in the pod`]),
  ]
}
