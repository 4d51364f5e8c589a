/** The way of frames beside those of port mappings from the wire to a representor, and if a filter on the uplink can limit them. */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { filtersVlans, masterOf, tagProtocol } from '../../nic/netdev.ts'
import type { BridgeVlan } from '../../ops/op.ts'
import type { UplinkAttachment } from '../port/port.ts'

/** At most one of the two is there; neither where no such frames come. */
export interface DirectWay {
  /**
   * By a bridge that representor and uplink share: the VLAN in which the uplink carries them, 0 for untagged; `any` where
   * the bridge does not look at tags.
   */
  readonly direct: { readonly vlan: number | 'any' } | undefined
  /** Why frames can come to the representor that no filter of ours on the uplink would see, or be right for. */
  readonly unmetered: string | undefined
}

/**
 * Looks at what representor and uplink are attached to; nowhere but in switchdev mode there is a representor. A filter that
 * leads frames to the pod must let none through that the bridge would not.
 */
export function directWay(
  kernel: Kernel,
  { uplink, representor }: UplinkAttachment,
  folder = '/sys/class/net',
): DirectWay {
  if (representor === undefined) return none
  const taken = [uplink, representor].find(isOpenVswitch)
  if (taken !== undefined) return past(`"${taken.name}" is a port of Open vSwitch`)
  if (representor.master === undefined) return none
  if (representor.master !== uplink.master)
    return past(`frames come to "${representor.name}" by another interface than "${uplink.name}"`)
  if (representor.slaveKind !== 'bridge')
    return past(`"${representor.name}" and "${uplink.name}" are no ports of a bridge`)
  const bridge = masterOf(representor.name, folder)
  if (bridge === undefined || !filtersVlans(bridge, folder)) return by('any')
  const protocol = tagProtocol(bridge, folder)
  if (protocol !== '0x8100') return past(`the bridge "${bridge}" goes by tags of protocol ${protocol}`)
  const [onUplink, onRepresentor] = [uplink, representor].map(({ ifindex }) =>
    kernel.bridgeVlans('host', ifindex),
  ) as [readonly BridgeVlan[], readonly BridgeVlan[]]
  return sharedVlan(representor, onUplink, onRepresentor)
}

/** True for a port of Open vSwitch, which removes the filters of others. */
export function isOpenVswitch({ slaveKind }: LinkFacts): boolean {
  return slaveKind === 'openvswitch'
}

const none: DirectWay = { direct: undefined, unmetered: undefined }

function by(vlan: number | 'any'): DirectWay {
  return { direct: { vlan }, unmetered: undefined }
}

function past(unmetered: string): DirectWay {
  return { direct: undefined, unmetered }
}

/** Untagged frames are in the uplink's PVID; to the pod they must come without a tag. */
function sharedVlan(
  { name }: LinkFacts,
  onUplink: readonly BridgeVlan[],
  onRepresentor: readonly BridgeVlan[],
): DirectWay {
  const shared = onRepresentor.filter(({ vid }) => onUplink.some((one) => one.vid === vid))
  const [vlan, ...more] = shared
  if (vlan === undefined) return none
  if (more.length > 0 || !vlan.untagged) {
    const vids = shared.map(({ vid }) => vid).join(', ')
    return past(`"${name}" gets frames of the VLANs ${vids} from the bridge, tags included`)
  }
  return by(onUplink.some(({ vid, pvid }) => pvid && vid === vlan.vid) ? 0 : vlan.vid)
}
