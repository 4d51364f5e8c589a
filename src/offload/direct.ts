/** How frames that no port mapping is for come from the wire to a representor: whether a filter on the uplink can limit them. */
import type { LinkFacts } from '../kernel/facts.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Wire } from './port.ts'

/** At most one of the two is there; neither where no such frames come. */
export interface DirectWay {
  /** By a bridge that representor and uplink share: the VLAN in which the uplink carries them (0: untagged). */
  readonly direct: { readonly vlan: number } | undefined
  /** Why frames can come to the representor that no filter of ours on the uplink would see. */
  readonly unmetered: string | undefined
}

/** Looks at what representor and uplink are attached to; nowhere but in switchdev mode there is a representor. */
export function directWay(kernel: Kernel, { uplink, representor }: Wire): DirectWay {
  if (representor?.master === undefined) return { direct: undefined, unmetered: undefined }
  if (representor.master !== uplink.master) {
    return past(`frames come to "${representor.name}" by another interface than "${uplink.name}"`)
  }
  return sharedBridge(kernel, uplink, representor)
}

function past(unmetered: string): DirectWay {
  return { direct: undefined, unmetered }
}

/** In the VLAN that the representor's frames get, as the uplink carries it. */
function sharedBridge(kernel: Kernel, uplink: LinkFacts, representor: LinkFacts): DirectWay {
  const pvid = kernel.bridgeVlans('host', representor.ifindex).find((vlan) => vlan.pvid)?.vid
  const onUplink = kernel.bridgeVlans('host', uplink.ifindex).find(({ vid }) => vid === pvid)
  return {
    direct: { vlan: onUplink === undefined || onUplink.untagged ? 0 : onUplink.vid },
    unmetered: undefined,
  }
}
