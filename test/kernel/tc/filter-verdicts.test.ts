// The verdict of a filter is told from its actions.
import { expect, test } from 'vitest'
import { keepsFrames, verdictsOf } from '../../../src/kernel/tc/filter-verdicts.ts'
import {
  type Action,
  actionList,
  limitRate,
  popVlan,
  redirectTo,
  verdict,
} from '../../../src/netlink/tc/actions/action.ts'
import { TC_ACT } from '../../../src/netlink/tc/actions/gact.ts'
import { decodeFilter, newFlower } from '../../../src/netlink/tc/filter.ts'

const filter = (...actions: readonly Action[]) => {
  const { payload } = newFlower(
    { ifindex: 2, priority: 2, protocol: 0x0800 },
    { TCA_FLOWER_KEY_ETH_TYPE: 0x0800, TCA_FLOWER_ACT: actionList(actions) },
  )
  return decodeFilter({ type: 44, flags: 0, seq: 0, pid: 0, payload })
}
const police = (conform: number) => limitRate({ bytesPerSecond: 1000, burst: 1000, mtu: 1500, conform })
const mirror: Action = {
  TCA_ACT_KIND: 'mirred',
  TCA_ACT_OPTIONS: {
    TCA_MIRRED_PARMS: {
      ...{ index: 0, capab: 0, refcnt: 0, bindcnt: 0, ifindex: 7 },
      ...{ action: TC_ACT.TC_ACT_PIPE, eaction: 2 },
    },
  },
}
const { TC_ACT_OK, TC_ACT_TRAP, TC_ACT_SHOT, TC_ACT_PIPE, TC_ACT_GOTO_CHAIN } = TC_ACT

test.each([
  ['drop', [verdict(TC_ACT_SHOT)], true],
  ['ok', [verdict(TC_ACT_OK)], false],
  ['trap', [verdict(TC_ACT_TRAP)], false],
  ['goto chain', [verdict(TC_ACT_GOTO_CHAIN | 1)], true],
  ['redirect', [redirectTo(3)], true],
  ['mirror alone', [mirror], true],
  ['mirror, then ok', [mirror, verdict(TC_ACT_OK)], false],
  ['police that passes', [police(TC_ACT_OK)], false],
  ['police that pipes', [police(TC_ACT_PIPE)], false],
  ['police that drops all', [police(TC_ACT_SHOT)], true],
  ['vlan pop', [popVlan()], false],
  ['vlan pop and redirect', [popVlan(), redirectTo(3)], true],
] as const)('in the NIC, %s keeps the frames: %s', (_name, actions, keeps) => {
  expect(keepsFrames(filter(...actions))).toBe(keeps)
})

test('verdictsOf() returns the verdict of the last action', () => {
  expect(verdictsOf(filter(popVlan(), verdict(TC_ACT_SHOT)))).toEqual([TC_ACT_SHOT])
})
