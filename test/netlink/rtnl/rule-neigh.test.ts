// Messages of policy rules and neighbours have the bytes that ip sends.
import { describe, expect, test } from 'vitest'
import { AF } from '../../../src/netlink/rtnl/const.ts'
import { decodeNeigh, NUD, neighMessage, newNeigh } from '../../../src/netlink/rtnl/neigh.ts'
import { decodeRule, deleteRule, FR_ACT, newRule, ruleMessage } from '../../../src/netlink/rtnl/rule.ts'
import { captured, essence, fixture } from '../fixtures.ts'

const { AF_INET, AF_INET6 } = AF
const answers = (name: string, type: number) =>
  fixture(name).messages.filter((message) => message.type === type)

describe('rules', () => {
  const table = { family: AF_INET, action: FR_ACT.FR_ACT_TO_TBL }
  test.each([
    [
      'rule-from',
      newRule({ ...table, src_len: 32, FRA_SRC: '10.1.0.5', FRA_TABLE: 1000, FRA_PRIORITY: 900 }),
    ],
    ['rule-v6', newRule({ ...table, family: AF_INET6, src_len: 128, table: 100, FRA_SRC: 'fd00::5' })],
    [
      'rule-goto',
      newRule({
        family: AF_INET,
        src_len: 16,
        action: FR_ACT.FR_ACT_GOTO,
        flags: 2,
        FRA_SRC: '10.1.0.0',
        FRA_GOTO: 32766,
        FRA_PRIORITY: 5,
      }),
    ],
    ['rule-del', deleteRule({ family: AF_INET, src_len: 32, FRA_SRC: '10.1.0.5', FRA_TABLE: 1000 })],
    [
      'rule-many',
      newRule({
        ...{
          ...table,
          dst_len: 8,
          tos: 0x10,
          table: 254,
          FRA_DST: '10.0.0.0',
          FRA_IIFNAME: 'lo',
          FRA_OIFNAME: 'lo',
          FRA_FWMARK: 1,
        },
        ...{
          FRA_FWMASK: 255,
          FRA_IP_PROTO: 6,
          FRA_SPORT_RANGE: { start: 1, end: 9 },
          FRA_DPORT_RANGE: { start: 80, end: 80 },
        },
        ...{ FRA_UID_RANGE: { start: 5, end: 6 }, FRA_PROTOCOL: 77, FRA_SUPPRESS_PREFIXLEN: 0 },
      }),
    ],
  ])('%s is what ours sends', (name, request) => {
    expect(essence(request)).toEqual(captured(name))
  })

  test("the kernel's own", () => {
    const rules = answers('answer-rule-dump', 32).map(decodeRule)
    expect(rules.map(({ FRA_PRIORITY = 0 }) => FRA_PRIORITY)).toEqual([0, 900, 32766, 32767])
    expect(rules[1]).toMatchObject({ src_len: 32, action: 1, FRA_SRC: '10.1.0.5', FRA_TABLE: 1000 })
    expect(ruleMessage.kind).toBe('fib_rule_hdr')
  })
})

describe('neighbours', () => {
  const { NUD_PERMANENT, NUD_NOARP } = NUD
  const lladdr = '02:00:00:00:00:01'
  test.each([
    [
      'neigh-add',
      newNeigh({
        ndm_family: AF_INET,
        ndm_ifindex: 1,
        ndm_state: NUD_PERMANENT,
        NDA_DST: '10.1.0.1',
        NDA_LLADDR: lladdr,
      }),
    ],
    [
      'neigh-proxy',
      newNeigh({
        ndm_family: AF_INET6,
        ndm_ifindex: 1,
        ndm_state: NUD_PERMANENT,
        ndm_flags: 8,
        NDA_DST: 'fd00::5',
      }),
    ],
    [
      'neigh-fdb',
      newNeigh({
        ndm_family: AF.AF_BRIDGE,
        ndm_ifindex: 1,
        ndm_state: NUD_PERMANENT | NUD_NOARP,
        ndm_flags: 2,
        NDA_LLADDR: lladdr,
        NDA_VLAN: 5,
      }),
    ],
  ])('%s is what ours sends', (name, request) => {
    expect(essence(request)).toEqual(captured(name))
  })

  test("the kernel's own", () => {
    const [one] = answers('answer-neigh-dump', 28)
    expect(one && decodeNeigh(one)).toMatchObject({
      ndm_state: NUD_PERMANENT,
      NDA_DST: '10.1.0.9',
      NDA_LLADDR: '02:00:00:00:00:09',
    })
    expect(neighMessage.kind).toBe('ndmsg')
  })
})
