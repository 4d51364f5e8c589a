/** How each classifier is told to match every frame: kernels are built without one or the other of them. */
import type { Actions } from '../../netlink/tc/actions/action.ts'
import { TCA_CLS_FLAGS } from '../../netlink/tc/kinds/flower.ts'
import { everyPacket } from '../../netlink/tc/kinds/u32.ts'
import type { Classifier } from '../../ops/op.ts'

/** In the order in which they are tried: matchall says what is meant, basic knows no flag that keeps it from a NIC. */
export const classifiers = ['matchall', 'flower', 'u32', 'basic'] as const satisfies readonly Classifier[]

/** Options of a filter for every frame, with `actions` or none; software alone unless `inHardware`. */
export function everyFrameOptions(classifier: Classifier, actions: Actions | undefined, inHardware = false) {
  const { TCA_CLS_FLAGS_SKIP_HW: skipHw, TCA_CLS_FLAGS_SKIP_SW: skipSw } = TCA_CLS_FLAGS
  const flags = inHardware ? skipSw : skipHw
  const act = <K extends string>(name: K) =>
    (actions === undefined ? {} : { [name]: actions }) as { readonly [N in K]?: Actions }
  switch (classifier) {
    case 'matchall':
      return { ...act('TCA_MATCHALL_ACT'), TCA_MATCHALL_FLAGS: flags }
    case 'flower':
      return { ...act('TCA_FLOWER_ACT'), TCA_FLOWER_FLAGS: flags }
    case 'u32':
      return { TCA_U32_SEL: everyPacket, ...act('TCA_U32_ACT'), TCA_U32_FLAGS: flags }
    case 'basic':
      return act('TCA_BASIC_ACT')
  }
}
