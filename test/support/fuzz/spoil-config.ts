// Mutators of a config: its values, its keys, its text. In: chance, and the draft to spoil. Out: mutations. The name of a mutation tells
// all about it. Mutations do not depend on each other, so leaving some out makes a failing call smaller.
import type { Random } from '../../soak/seed.ts'
import type { Draft } from './draft.ts'
import { KEYS, LOG_FILES, oddValuesFor } from './odd.ts'
import { type Path, pathsOf, printTree, type Tree, valueAt, withAgain, withValue } from './tree.ts'

/** One mistake in a call. */
export interface Mutation {
  readonly name: string
  readonly apply: (draft: Draft) => void
}

/** Invents a mutation. */
export type Mutator = (random: Random, draft: Draft) => Mutation

/** A value for the name of a mutation. */
export const shown = (value: Tree | undefined) => {
  const text = value === undefined ? 'nothing' : printTree(value)
  return text.length > 80 ? `${text.slice(0, 60)}... (${text.length} characters)` : text
}

/** An odd value for a key. */
export function oddValue(random: Random, key: string | number): Tree {
  return structuredClone(random.pick(random.pick(oddValuesFor(key))))
}

/** A change of one place of a tree, with its name; `what` names the tree. */
export function changeOf(
  random: Random,
  tree: Tree,
  what: string,
): { name: string; change: (tree: Tree) => Tree } {
  const paths = pathsOf(tree)
  const path: Path = paths.length === 0 ? [] : random.pick(paths)
  const key = path.at(-1) ?? ''
  const at = `${what}.${path.join('.')}`
  const value = oddValue(random, key)
  switch (random.below(6)) {
    case 0:
      return { name: `${at} is missing`, change: (one) => withValue(one, path, undefined) }
    case 1:
      return {
        name: `${at} is given again as ${shown(value)}`,
        change: (one) => withAgain(one, path, String(key), value),
      }
    case 2: {
      const name = random.pick([
        String(key).toUpperCase(),
        `${key} `,
        '__proto__',
        'toString',
        'x'.repeat(300),
      ])
      return {
        name: `${at} is called ${name.slice(0, 20)} too`,
        change: (one) => withAgain(one, path, name, valueAt(one, path) ?? null),
      }
    }
    case 3: {
      const other = random.pick(paths)
      return {
        name: `${at} is what ${other.join('.')} is`,
        change: (one) => withValue(one, path, valueAt(one, other) ?? null),
      }
    }
    default:
      return { name: `${at} is ${shown(value)}`, change: (one) => withValue(one, path, value) }
  }
}

/** Changes a value of the config. */
export function changeValue(random: Random, draft: Draft): Mutation {
  const { name, change } = changeOf(random, draft.config, 'config')
  return {
    name,
    apply: (one) => {
      one.config = change(one.config)
    },
  }
}

/** Adds a key at the top of the config. */
export function addKey(random: Random): Mutation {
  const key = random.pick(KEYS)
  const value = key === 'logFile' ? random.pick(LOG_FILES) : oddValue(random, key)
  return {
    name: `config.${key} is ${shown(value)}`,
    apply: (one) => {
      one.config = withValue(one.config, [key], value)
    },
  }
}

/** Changes the config's text. */
export function changeText(random: Random): Mutation {
  const part = random.below(1_000) / 1_000
  const at = (text: Buffer) => Math.floor(part * text.length)
  const insert = (name: string, bytes: Buffer | string) => ({
    name: `${name} at ${part} of the text`,
    change: (text: Buffer) =>
      Buffer.concat([text.subarray(0, at(text)), Buffer.from(bytes), text.subarray(at(text))]),
  })
  const whole = (text: string) => ({
    name: `the text is ${text.slice(0, 20)}`,
    change: () => Buffer.from(text),
  })
  const { name, change } = random.pick([
    () => ({ name: `the text ends at ${part}`, change: (text: Buffer) => text.subarray(0, at(text)) }),
    () => insert('a byte that is no UTF-8', Buffer.from([random.pick([0xff, 0xc0, 0xed, 0x80])])),
    () => insert('a zero byte', '\0'),
    () => insert('a character', random.pick([...'{}[],:"\\ 0-e.\n'])),
    () => insert('a long text', 'x'.repeat(100_000)),
    () => ({ name: 'a document follows', change: (text: Buffer) => Buffer.concat([text, text]) }),
    () => ({
      name: 'a byte order mark',
      change: (text: Buffer) => Buffer.concat([Buffer.from('\ufeff'), text]),
    }),
    () => ({
      name: 'a megabyte of blanks',
      change: (text: Buffer) => Buffer.concat([Buffer.alloc(2 ** 20, 32), text]),
    }),
    () => whole(random.pick(['', ' ', 'null', '[]', '{}', '"x"', '0', '{', '\0'])),
    () => whole('['.repeat(random.pick([900, 1_100, 200_000]))),
    () =>
      whole(
        `{"cniVersion":"1.0.0","name":"fuzz","type":"x","a":${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}}`,
      ),
    () => whole(`{"cniVersion":"1.0.0","name":"${'n'.repeat(2 ** 20)}"}`),
  ])()
  return { name, apply: (one) => void one.textChanges.push(change) }
}
