// Mutators of everything around a config: variables, the node, the answers of IPAM, the record. In: chance, and the draft to spoil.
// Out: mutations.
import { type Random, randomFrom } from '../../soak/seed.ts'
import { type Draft, FUZZ, GOOD_PATH, POD, POD_LINK } from './draft.ts'
import { changeOf, type Mutation, shown } from './spoil-config.ts'
import { atRecord, IN_THE_WAY, OTHER_KINDS, SURROUNDINGS } from './surroundings.ts'
import { printTree, type Tree, withValue } from './tree.ts'

const VARIABLES: Readonly<Record<string, readonly (string | undefined)[]>> = {
  CNI_COMMAND: [undefined, '', 'add', 'ADD ', 'FOO', 'VERSION', 'STATUS', 'CHECK', 'x'.repeat(5_000)],
  CNI_CONTAINERID: [
    ...[undefined, '', '-x', '.x', '..', '../../x', 'a/b', 'a b', 'a@b', 'a\nb', 'ä', 'x'.repeat(200)],
    ...['x'.repeat(230), 'x'.repeat(256), 'x'.repeat(5_000)],
  ],
  CNI_IFNAME: [
    ...[
      undefined,
      '',
      'lo',
      '.',
      '..',
      'a/b',
      'a:b',
      'a b',
      'ä',
      '%d',
      'x%d',
      'all',
      'default',
      '-x',
      POD_LINK.name,
    ],
    ...['x'.repeat(15), 'x'.repeat(16), 'x'.repeat(300), 'net1@x', 'a\nb'],
  ],
  CNI_NETNS: [
    ...[
      undefined,
      '',
      '/',
      '/nope',
      'relative',
      '/dev/null',
      '/etc/passwd',
      `${FUZZ}/file`,
      `${FUZZ}/folder`,
    ],
    ...[
      '/proc/self/ns/mnt',
      '/proc/self/ns/net',
      '/proc/1/ns/net',
      '/proc/1/ns/uts',
      '/proc/thread-self/ns/pid',
    ],
    ...[
      `${FUZZ}/loop`,
      `${FUZZ}/dangling`,
      `${FUZZ}/fifo`,
      `${FUZZ}/file/below`,
      `/run/netns/${'x'.repeat(300)}`,
    ],
    ...[
      `/${'x'.repeat(5_000)}`,
      '/run/netns/neighbour',
      `/run/netns/../netns/${POD}`,
      `//run//netns/./${POD}`,
    ],
  ],
  CNI_PATH: [
    ...[undefined, '', ':', '.', '/nope', '/etc/passwd', `${FUZZ}/loop`, '/proc/self/fd', 'x'.repeat(5_000)],
    ...['/etc/passwd', `${FUZZ}/loop`, 'x'.repeat(300), '/nope', `${FUZZ}/file/below`, ''].map(
      (bad) => `${bad}:${GOOD_PATH}`,
    ),
  ],
  CNI_ARGS: [
    ...['x', '=', '=x', 'K', 'K=V', ';;;', 'MAC=', 'MAC=zz', 'MAC=02:00:00:00:01:77', 'IgnoreUnknown=1;X=Y'],
    ...[`K=${'v'.repeat(5_000)}`, 'K=V\n', 'mac=1;MAC=2', '__proto__=1'],
  ],
  CNI_NETNS_OVERRIDE: ['1', 'true', 'x', ''],
}

/** Changes a CNI_ variable. */
export function changeVariable(random: Random): Mutation {
  // CNI_COMMAND decides the verb, so it is changed less often.
  const name = random.chance(5) ? 'CNI_COMMAND' : random.pick(Object.keys(VARIABLES).slice(1))
  const value = random.pick(VARIABLES[name] ?? [])
  return {
    name: value === undefined ? `${name} is missing` : `${name}=${shown(value)}`,
    apply: (one) => {
      if (value === undefined) delete one.env[name]
      else one.env[name] = value
    },
  }
}

/** Adds a line of sh: a redirection, or a command before the program takes the shell's place. */
export function listed(what: 'redirect' | 'before', value: string, word: string): Mutation {
  return { name: `${word}: ${value}`, apply: (one) => void one[what].push(value) }
}

/** Changes folders and files of the node that all calls share. */
export function surrounding(random: Random): Mutation {
  const { name, prepare, restore } = random.pick(SURROUNDINGS)
  return { name, apply: (one) => changeNode(one, prepare, restore) }
}

/** Puts something in the place of the record. */
export function inTheWay(random: Random, draft: Draft): Mutation {
  const { name, prepare, restore } = random.pick(IN_THE_WAY)
  const config = draft.config as { device?: Tree }
  const subject = draft.plugin === 'vf-attach' ? `netdev:${String(config.device)}` : 'fuzz'
  const at = atRecord(draft.plugin, subject, draft.env.CNI_IFNAME ?? '')
  return {
    name,
    apply: (one) => changeNode(one, `${at}; [ -e "$at" ] || [ -L "$at" ] || ${prepare}`, `${at}; ${restore}`),
  }
}

// One change of the node at a time: two changes would hide each other, or be undone in the wrong order.
function changeNode({ prepare, restore }: Draft, make: string, undo: string): void {
  if (prepare.length > 0) return
  prepare.push(make)
  restore.push(undo)
}

const ENDS: readonly string[] = [
  'exit 0',
  'exit 1',
  'exit 255',
  'kill -9 $$',
  'kill -15 $$',
  'exec >&-',
  'echo x >&2; exit 3',
]

/** The IPAM plugin's answer, and its end. */
export function changeIpam(random: Random, draft: Draft): Mutation {
  const verb = draft.env.CNI_COMMAND ?? ''
  const good = JSON.parse(
    draft.ipam.ADD?.text ?? '{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.5/24"}]}',
  ) as Tree
  const error: Tree = {
    cniVersion: '1.0.0',
    code: oddCode(random),
    msg: random.pick(['no', '', 'ä\n', 'x'.repeat(5_000)]),
  }
  const answer = random.pick([
    () => ({ text: printTree(changeOf(random, good, 'answer').change(good)), ending: 'exit 0' }),
    () => ({ text: printTree(changeOf(random, good, 'answer').change(good)), ending: 'exit 0' }),
    () => ({ text: printTree(error), ending: random.pick(['exit 1', 'exit 1', 'exit 0']) }),
    () => ({
      text: random.pick(['', 'x', '{', 'null', '[]', '{}', '{}{}', '\0', 'x'.repeat(70_000)]),
      ending: 'exit 0',
    }),
    () => ({ text: printTree(good), ending: random.pick(ENDS) }),
  ])()
  return {
    name: `IPAM's ${verb} says ${shown(answer.text)}, then ${answer.ending}`,
    apply: (one) => {
      if (one.plugin === 'vf-attach') one.config = withValue(one.config, ['ipam'], { type: 'fuzz-ipam' })
      one.ipam[verb] = answer
    },
  }
}

function oddCode(random: Random): Tree {
  return random.pick<Tree>([0, -1, 1.5, -1.5, 1e300, 7, 11, 50, 999, 1_000, 2 ** 32, '7', null])
}

/** The change of the record. */
export function damageRecord(random: Random): Mutation {
  const part = random.below(1_000) / 1_000
  const at = (text: Buffer) => Math.floor(part * text.length)
  const seed = random.below(2 ** 30)
  return random.pick<() => Mutation>([
    () => damage(`the record ends at ${part}`, { how: 'file', change: (text) => text.subarray(0, at(text)) }),
    () => {
      const byte = random.pick([0, 0x22, 0x7b, 0xff, 0x2c])
      const change = (text: Buffer) =>
        Buffer.concat([text.subarray(0, at(text)), Buffer.from([byte]), text.subarray(at(text))])
      return damage(`byte ${byte} at ${part} of the record`, { how: 'file', change })
    },
    () => {
      const text = random.pick([
        'null',
        '[]',
        '{}',
        '0',
        '"x"',
        '{"schema":2}',
        '{"schema":1}',
        'x',
        '{"schema":1e999}',
      ])
      return damage(`the record is ${text}`, { how: 'file', change: () => Buffer.from(text) })
    },
    () => {
      const script = random.pick(OTHER_KINDS)
      return damage(`the record: ${script}`, { how: 'kind', script })
    },
    ...Array.from({ length: 3 }, () => () => treeDamage(seed)),
  ])()
}

const damage = (name: string, what: NonNullable<Draft['damage']>): Mutation => ({
  name,
  apply: (one) => {
    one.damage = what
  },
})

// The content of the record is known when it is there: the place is drawn then, from a seed.
function treeDamage(seed: number): Mutation {
  return damage(`a value of the record is changed (${seed})`, {
    how: 'tree',
    change: (tree) => changeOf(randomFrom(seed), tree, 'record').change(tree),
  })
}
