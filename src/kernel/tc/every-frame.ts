/** Options of a filter that matches every frame, for four classifiers: a kernel may be built without some of them. */
import type { Actions } from '../../netlink/tc/actions/action.ts'
import { TCA_CLS_FLAGS } from '../../netlink/tc/kinds/flower.ts'
import { everyPacket } from '../../netlink/tc/kinds/u32.ts'
import type { Classifier } from '../../ops/op.ts'

/** In the order of the tries. matchall comes first: it has this one purpose. basic comes last: it has no flag skip_hw. */
export const classifiers = ['matchall', 'flower', 'u32', 'basic'] as const satisfies readonly Classifier[]

/** Options of a filter that matches every frame, with `actions` or none; skip_sw if `inHardware`, skip_hw otherwise. */
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
