// A record with anything in any place of it: either the form refuses it by naming the place, or it is written as it was read, with
// the keys that nobody here knows.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { attachJournal } from '../../src/records/attach.ts'
import { type Form, Misfit } from '../../src/records/form.ts'
import { offloadJournal } from '../../src/records/offload.ts'

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

const folder = join(import.meta.dirname, '../fixtures/records/4388eb2')
const journals = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as { plugin: string; journal: Json })

/** The places of a value, each as the keys that lead to it, the outermost first. */
function placesOf(value: Json): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [[]]
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value)
  const below = [...keys].flatMap((key) =>
    placesOf((value as Record<string | number, Json>)[key] ?? null).map((place) => [key, ...place]),
  )
  return [[], ...below]
}

/** A copy with `change` made at a place. */
function changed(
  value: Json,
  [key, ...rest]: readonly (string | number)[],
  change: (at: Json) => Json,
): Json {
  if (key === undefined) return change(value)
  const copy = structuredClone(value) as Record<string | number, Json>
  copy[key] = changed(copy[key] ?? null, rest, change)
  return copy as Json
}

/** Reads and writes; undefined for a value that the form refuses. */
function again<T>(form: Form<T>, value: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(form.write(form.read(value))))
  } catch (error) {
    if (error instanceof Misfit) return undefined
    throw error
  }
}

const cases = fc.constantFrom(...journals).chain(({ plugin, journal }) =>
  fc.record({
    plugin: fc.constant(plugin),
    journal: fc.constant(journal),
    place: fc.constantFrom(...placesOf(journal)),
    value: fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
  }),
)
const formOf = (plugin: string): Form<unknown> => (plugin === 'vf-attach' ? attachJournal : offloadJournal)

test('any value in any place is refused, or written as it was read', () => {
  fc.assert(
    fc.property(cases, ({ plugin, journal, place, value }) => {
      const wanted = JSON.parse(JSON.stringify(changed(journal, place, () => value))) as Json
      const written = again(formOf(plugin), wanted)
      if (written !== undefined) expect(written).toEqual(wanted)
    }),
    { numRuns: 2_000 },
  )
})

test('a key that nobody knows, in any object, changes nothing else and is kept', () => {
  fc.assert(
    fc.property(cases, fc.string({ minLength: 1 }), ({ plugin, journal, place, value }, name) => {
      const wanted = changed(journal, place, (at) =>
        typeof at === 'object' && at !== null && !Array.isArray(at) && !Object.hasOwn(at, `x-${name}`)
          ? { ...at, [`x-${name}`]: value }
          : at,
      )
      const text = JSON.parse(JSON.stringify(wanted)) as Json
      const written = again(formOf(plugin), text)
      if (written !== undefined) expect(written).toEqual(text)
    }),
    { numRuns: 2_000 },
  )
})
