/** The needs of bandwidth on a node, for STATUS. */
import { pfsWithVfs } from '../../nic/pci.ts'
import type { Readiness, StatusContext } from '../feature.ts'

/** Limits that the config itself has are wishes of every ADD; limits that runtimes may ask for are not. */
export function bandwidthReadiness({ kernel, config, pfs }: StatusContext): Readiness {
  const { rates, limited } = config
  if (limited === 'none') return { hindrances: [] }
  const asking = {
    ...{ rates: true, shapers: true },
    // Elsewhere a limit that no policer can have is kept by a shaper.
    police: rates.outside && pfs.some((pf) => kernel.isSwitchdev(pf)),
  }
  if (limited !== 'every') return { asking, hindrances: [] }
  // A VF in legacy mode can have its limit of what it sends by its PF, one with a representor both by the NIC.
  const byNic = pfsWithVfs().some((pf) => rates.toPod === undefined || kernel.isSwitchdev(pf))
  return { everyAdd: byNic ? {} : { shapers: true }, asking, hindrances: [] }
}
