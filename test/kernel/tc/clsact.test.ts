// clsact is added once, and removed when it is empty.
import { describe, expect, test } from 'vitest'
import { addClsact, dropEmptyClsact } from '../../../src/kernel/tc/clsact.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { CLSACT_EGRESS, CLSACT_INGRESS, type Tc } from '../../../src/netlink/tc/msg.ts'
import { answering } from '../answers.ts'
import { addFilter, pf, spec, withClsact } from '../flow-filter.ts'
import { message } from '../sched.ts'

describe('clsact', () => {
  test('is not added again where it exists', () => {
    const sched = withClsact()
    addClsact(sched.socket, pf)
    expect([...sched.qdiscs]).toEqual([[pf, 'clsact']])
  })

  test('is removed when it is empty', () => {
    const sched = withClsact()
    expect(dropEmptyClsact(sched.open, pf)).toBe(true)
    expect(sched.qdiscs.size).toBe(0)
    expect(dropEmptyClsact(sched.open, pf)).toBe(true)
  })

  test.each([
    ['ingress', CLSACT_INGRESS],
    ['egress', CLSACT_EGRESS],
  ])('stays while a filter is on its %s side', (_, parent) => {
    const sched = withClsact()
    addFilter(sched.socket, pf, spec, 'off')
    sched.filters.push({ ...(sched.filters.pop() as Tc), tcm_parent: parent })
    expect(dropEmptyClsact(sched.open, pf)).toBe(false)
    expect(sched.qdiscs.size).toBe(1)
  })

  test('counts as empty only after two dumps', () => {
    const sched = withClsact()
    addFilter(sched.socket, pf, spec, 'off')
    const [filter] = sched.filters.splice(0)
    let looks = 0
    const kernel = answering(({ type }) => {
      if (type === RTM.RTM_GETQDISC)
        return { messages: [message(RTM.RTM_NEWQDISC, { tcm_ifindex: pf, TCA_KIND: 'clsact' })] }
      if (type !== RTM.RTM_GETTFILTER) throw new TypeError('removed')
      // The first dump loses the filter, as a dump can during changes of another program.
      return { messages: ++looks === 3 ? [message(RTM.RTM_NEWTFILTER, filter as Tc)] : [] }
    })
    dropEmptyClsact(kernel.open, pf)
    expect(looks).toBe(3)
  })
})
