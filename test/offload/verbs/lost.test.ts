// An ADD that a worker had when it died takes back first what it has left, and never the work of another entry of the same list.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { offloadPlugin } from '../../../src/offload/plugin.ts'
import { offloadJournal } from '../../../src/records/offload.ts'
import { recordStore } from '../../../src/records/store.ts'
import { refusalOf, requestOf } from '../../support/request.ts'
import { bandwidth, path, portMappings, prevResult, VethNode } from '../veth-node.ts'

let stateDir: string
let node: VethNode
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'lost-'))
  node = new VethNode(join(stateDir, 'shared'))
  node.namespaces.set(path, '4:1')
})
afterEach(() => rmSync(stateDir, { recursive: true }))

const plugin = () => offloadPlugin(node, 'vf-offload')
const request = (runtimeConfig: object, verb = 'ADD') =>
  requestOf({ stateDir, prevResult, runtimeConfig }, { CNI_COMMAND: verb })
const store = () => recordStore(stateDir, 'offload', offloadJournal)
const lost = (runtimeConfig: object) => plugin().removeLost?.(request(runtimeConfig, 'DEL'))

/** The record is as it is while an ADD makes its changes. */
function stopInTheMiddle(): void {
  for (const name of store().list()) {
    const record = store().read(name)
    if (record !== undefined) store().write(name.subject, { ...record, phase: 'applying' })
  }
}

test.each(['attached', 'applying'])('all of an ADD alone goes, phase %s', (phase) => {
  plugin().add(request({ portMappings, bandwidth }))
  if (phase === 'applying') stopInTheMiddle()
  lost({ portMappings, bandwidth })
  expect([store().list(), node.ports.size]).toEqual([[], 0])
  plugin().add(request({ portMappings, bandwidth }))
  expect(node.ports.size).toBe(1)
})

test('nothing goes, and nothing fails, where there is nothing', () => {
  lost({ portMappings })
  lost({ portMappings: 7 })
  expect(store().list()).toEqual([])
})

test('the work of another entry stays where the lost ADD had not begun', () => {
  plugin().add(request({ portMappings }))
  lost({ bandwidth })
  lost({})
  expect(node.ports.size).toBe(1)
  plugin().add(request({ bandwidth }))
  expect(node.lines.filter((line) => line.includes('tbf'))).toHaveLength(1)
})

test('the ADD is refused where it had begun in the record of another entry, which stays', () => {
  plugin().add(request({ portMappings }))
  plugin().add(request({ bandwidth }))
  for (const stop of [() => undefined, stopInTheMiddle]) {
    stop()
    expect(refusalOf(() => lost({ bandwidth }))).toMatchObject({
      code: 11,
      message: expect.stringContaining('another entry of the list'),
    })
    expect(node.ports.size).toBe(1)
  }
})
