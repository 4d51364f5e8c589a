// A filter of every frame is made by the first classifier that the kernel has.
import { describe, expect, test } from 'vitest'
import { classifiers, everyFrameOptions } from '../../../src/kernel/tc/every-frame.ts'
import { addIfbRedirect, removeEveryFrame } from '../../../src/kernel/tc/matchall-filters.ts'
import { deleteOwnFilters, findOwnFilters } from '../../../src/kernel/tc/own-filters.ts'
import { fromHex } from '../../../src/lib/hex.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { actionList, redirectTo } from '../../../src/netlink/tc/actions/action.ts'
import { decodeFilter, placeOf } from '../../../src/netlink/tc/filter.ts'
import { everyPacket } from '../../../src/netlink/tc/kinds/u32.ts'
import { CLSACT_INGRESS, filterInfo, tcMessage } from '../../../src/netlink/tc/msg.ts'
import type { Classifier } from '../../../src/ops/op.ts'
import { answering } from '../answers.ts'

// IFB redirects on a kernel with some of the classifiers.

const cookie = '76660102aabbccdd0011223344556677'
const spec = { side: 'host', link: 'veth1', through: 'vfr0', cookie } as const
const place = { tcm_ifindex: 7, tcm_parent: CLSACT_INGRESS, tcm_info: filterInfo(60_000, 3) }

/** A kernel with these classifiers and, if `shared`, a foreign filter in the slot. */
function kernelWith(
  kinds: readonly Classifier[],
  { shared = false, words = 'TC classifier not found' } = {},
) {
  const filters: Uint8Array[] = []
  const removed: { handle: number; kind: string | undefined }[] = []
  const { socket, open, asked } = answering(({ type, payload }) => {
    const wanted = tcMessage.decode(payload)
    if (type === RTM.RTM_NEWTFILTER) {
      if (!kinds.some((kind) => kind === wanted.TCA_KIND)) return { errno: 2, text: words }
      filters.push(tcMessage.encode({ ...wanted, tcm_handle: 0x80000800 }))
    }
    if (type === RTM.RTM_DELTFILTER) removed.push({ handle: wanted.tcm_handle, kind: wanted.TCA_KIND })
    if (type === RTM.RTM_GETTFILTER) {
      const foreign = { ...place, tcm_handle: 0x80000900, TCA_KIND: 'u32' }
      const rest = { TCA_OPTIONS: { TCA_U32_SEL: everyPacket } }
      const all = shared ? [...filters, tcMessage.encode({ ...foreign, ...rest })] : filters
      return { messages: all.map((one) => ({ type: RTM.RTM_NEWTFILTER, payload: one })) }
    }
    if (type === RTM.RTM_GETQDISC) {
      const clsact = { tcm_ifindex: 7, tcm_handle: 0xffff0000, tcm_parent: 0xfffffff1, TCA_KIND: 'clsact' }
      return { messages: [{ type: RTM.RTM_NEWQDISC, payload: tcMessage.encode(clsact) }] }
    }
    return {}
  })
  const tried = () =>
    asked.flatMap((one) => (one.type === RTM.RTM_NEWTFILTER ? decodeFilter(one).TCA_KIND : []))
  return { socket, open, tried, removed }
}

describe('an IFB redirect', () => {
  test.each(['matchall', 'flower', 'u32', 'basic'] as const)(
    'uses %s where the kernel has no earlier classifier',
    (classifier) => {
      const { socket, tried } = kernelWith([classifier])
      const outcome = addIfbRedirect(socket, 7, 9, spec)
      expect(tried()).toEqual(classifiers.slice(0, classifiers.indexOf(classifier) + 1))
      expect(outcome).toMatchObject({ where: 'host', handle: 0x80000800 })
      if (classifier === 'matchall') expect(outcome).not.toHaveProperty('classifier')
      else {
        expect(outcome.classifier).toBe(classifier)
        expect(outcome.reason).toContain('matchall: RTM_NEWTFILTER: ENOENT: TC classifier not found')
      }
    },
  )

  test('is refused with the kernel’s reason for each classifier', () => {
    const { socket, tried } = kernelWith([], { words: 'Failed to load TC action module' })
    expect(() => addIfbRedirect(socket, 7, 9, spec)).toThrow(
      /ENOENT.*matchall: .*TC action module.*; basic: /,
    )
    expect(tried()).toEqual(classifiers)
  })

  test('tries no other classifier after another refusal', () => {
    const { socket, asked } = answering(({ type }) => (type === RTM.RTM_NEWTFILTER ? { errno: 22 } : {}))
    expect(() => addIfbRedirect(socket, 7, 9, spec)).toThrow('EINVAL')
    expect(asked.filter(({ type }) => type === RTM.RTM_NEWTFILTER)).toHaveLength(1)
  })
})

describe.each([
  ['matchall', false, 0x80000800],
  ['u32', false, 0],
  ['u32', true, 0x80000800],
] as const)('a %s filter (with a foreign filter in its slot: %s)', (classifier, shared, handle) => {
  test('is removed by handle, or with its slot where no foreign filter is in it', () => {
    const { socket, open, removed } = kernelWith([classifier], { shared })
    addIfbRedirect(socket, 7, 9, spec)
    removeEveryFrame(socket, 7, 60_000, cookie)
    const own = findOwnFilters(open, cookie)
    expect(own).toMatchObject([{ ifindex: 7, prio: 60_000, kind: classifier, cookie }])
    deleteOwnFilters(socket, own)
    expect(removed).toEqual([
      { handle, kind: classifier },
      { handle, kind: classifier },
    ])
  })
})

test('options have no keys, so they match every frame', () => {
  const actions = actionList([redirectTo(9, fromHex(cookie))])
  for (const classifier of classifiers) {
    const payload = tcMessage.encode({
      ...place,
      ...{ TCA_KIND: classifier, TCA_OPTIONS: everyFrameOptions(classifier, actions) },
    })
    const filter = decodeFilter({ type: 44, flags: 0, seq: 0, pid: 0, payload })
    expect(placeOf(filter)).toMatchObject({ ifindex: 7, priority: 60_000, protocol: 3 })
    const keys = Object.keys(filter.TCA_OPTIONS ?? {}).filter((key) => !/_(ACT|FLAGS|SEL)$/.test(key))
    expect(keys).toEqual([])
  }
})
