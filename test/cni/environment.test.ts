// The variables of a call are read and judged as the specification has it.
import { describe, expect, test } from 'vitest'
import { readEnvironment } from '../../src/cni/environment.ts'
import { addEnv } from '../support/run-verb.ts'

const refusal = (env: Record<string, string | undefined>) => {
  try {
    readEnvironment(env)
  } catch (error) {
    return error as { code: number; message: string; details?: string }
  }
  throw new Error('nothing was refused')
}

test('reads what a runtime says', () => {
  const env = {
    ...addEnv,
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=web;MAC=02:00:00:00:00:01;Q=a=b',
    CNI_PATH: '/a::/b:',
  }
  const read = readEnvironment(env)
  expect(read).toMatchObject({
    command: 'ADD',
    containerID: 'some-container',
    netns: '/var/run/netns/some',
    ifname: 'net1',
    path: ['/a', '/b'],
    netnsOverride: false,
  })
  expect([...read.args]).toEqual([
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAME', 'web'],
    ['MAC', '02:00:00:00:00:01'],
    ['Q', 'a=b'],
  ])
})

test.each(['', 'NOPE', 'add', 'ADD '])('refuses command %j', (command) => {
  expect(refusal({ ...addEnv, CNI_COMMAND: command })).toMatchObject({
    code: 4,
    message: `unknown CNI_COMMAND: ${command}`,
  })
})

describe('required variables', () => {
  test.each([
    ['ADD', 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME'],
    ['DEL', 'CNI_CONTAINERID,CNI_IFNAME'],
    ['CHECK', 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME'],
    ['GC', 'CNI_PATH'],
  ])('%s names all that are missing at once', (command, names) => {
    const message = `required env variables [${names}] missing`
    expect(refusal({ CNI_COMMAND: command })).toMatchObject({ code: 4, message })
    expect(
      refusal({ CNI_COMMAND: command, CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '', CNI_PATH: '' }),
    ).toMatchObject({ message })
  })

  test('STATUS needs none, and no verb but GC needs CNI_PATH', () => {
    expect(readEnvironment({ CNI_COMMAND: 'STATUS' })).toMatchObject({
      containerID: '',
      netns: '',
      ifname: '',
      path: [],
    })
    expect(readEnvironment({ ...addEnv, CNI_PATH: undefined }).path).toEqual([])
    expect(readEnvironment({ ...addEnv, CNI_COMMAND: 'DEL', CNI_NETNS: undefined }).netns).toBe('')
  })

  test('an invalid value is reported before a missing one', () => {
    expect(refusal({ CNI_COMMAND: 'ADD', CNI_IFNAME: 'a/b' }).message).toContain('CNI_IFNAME "a/b"')
  })
})

describe('values', () => {
  test.each(['1234%%%', '-a', '.a', '_a', 'a b', 'a/b', 'ä', 'a\n'])('container ID %j is refused', (id) => {
    expect(refusal({ ...addEnv, CNI_CONTAINERID: id })).toMatchObject({
      code: 4,
      message: 'invalid characters in containerID',
      details: id,
    })
  })

  test.each(['a', '0', 'a.b_c-d', 'b552f9e1a0b7'])('container ID %j is accepted', (id) => {
    expect(readEnvironment({ ...addEnv, CNI_CONTAINERID: id }).containerID).toBe(id)
  })

  test.each([
    'a/b',
    'a:b',
    'a b',
    'a\tb',
    'a\u0085b',
    'a\u00a0b',
    'a\u2003b',
    '.',
    '..',
    '0123456789abcdef',
    'ääääääää',
  ])('interface name %j is refused', (ifname) => {
    expect(refusal({ ...addEnv, CNI_IFNAME: ifname })).toMatchObject({
      code: 4,
      message: expect.stringContaining(JSON.stringify(ifname)),
    })
  })

  test.each(['all', 'default'])(
    'interface name %j is refused to ADD: its settings are those of all',
    (ifname) => {
      expect(refusal({ ...addEnv, CNI_IFNAME: ifname })).toMatchObject({
        code: 4,
        message: `Cannot use CNI_IFNAME "${ifname}": /proc/sys/net has the settings of all interfaces under that name`,
      })
      // An attachment that has got the name all the same must be freed.
      expect(readEnvironment({ ...addEnv, CNI_COMMAND: 'DEL', CNI_IFNAME: ifname }).ifname).toBe(ifname)
    },
  )

  test.each(['0123456789abcde', 'äääääää', 'eth0.100', '...', 'a%d'])(
    'interface name %j is accepted',
    (ifname) => {
      expect(readEnvironment({ ...addEnv, CNI_IFNAME: ifname }).ifname).toBe(ifname)
    },
  )

  test.each([
    ['1', true],
    ['true', true],
    ['TRUE', true],
    ['0', false],
    ['yes', false],
    ['', false],
  ])('CNI_NETNS_OVERRIDE=%j means %s', (value, expected) => {
    expect(readEnvironment({ ...addEnv, CNI_NETNS_OVERRIDE: value }).netnsOverride).toBe(expected)
  })

  test('malformed CNI_ARGS are refused, but never keep a DEL from cleaning up', () => {
    expect(refusal({ ...addEnv, CNI_ARGS: 'A=1;B' })).toMatchObject({
      code: 4,
      message: 'Cannot use CNI_ARGS pair "B": must be KEY=VALUE',
    })
    expect(refusal({ ...addEnv, CNI_ARGS: '=1' }).code).toBe(4)
    expect([...readEnvironment({ ...addEnv, CNI_COMMAND: 'DEL', CNI_ARGS: 'A=1;B;C=' }).args]).toEqual([
      ['A', '1'],
      ['C', ''],
    ])
    expect([...readEnvironment({ ...addEnv, CNI_ARGS: 'A=1;;A=2;' }).args]).toEqual([['A', '2']])
  })

  test('what a verb does not need is not judged', () => {
    expect(
      readEnvironment({ CNI_COMMAND: 'STATUS', CNI_CONTAINERID: '%%%', CNI_IFNAME: 'a/b' }).command,
    ).toBe('STATUS')
  })
})
