// The shim becomes vf-flower whenever the agent does not do the call: as if there were no agent until the call is sent, and with
// --lost-worker after that. Name, input, descriptors and signals are always those of the runtime's call.
import { copyFileSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { forms, makeBed, send } from '../support/shim/bed.ts'

// Programs under sanitizers on machines that may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const input = '{"cniVersion":"1.0.0"}'
const env = {
  CNI_IFNAME: 'net1',
  BUN_OPTIONS: '--none',
  PATH: '/bin',
  NODE_OPTIONS: '--none',
  VF_FLOWER_X: '',
}
const kept = ['CNI_COMMAND', 'VF_FLOWER_REPORT', 'CNI_IFNAME', 'PATH', 'VF_FLOWER_X']

const kinds = { wait: 16, ready: 17, standalone: 18, refused: 19, answer: 20 }
const wait = send({ kind: kinds.wait })
const greeted = ['accept', 'packet']
const answered = (words: Readonly<Record<string, string | number>>) =>
  send({ kind: kinds.answer, files: 1, out: 5, err: 5, ...words })

// The shim gives an agent up that a busy machine keeps from answering for a tenth of a second, which is right and no failure.
describe.each(forms)('%s', { retry: 4 }, (form) => {
  let bed: ReturnType<typeof makeBed>
  beforeAll(() => {
    bed = makeBed(form)
  })
  afterAll(() => bed.remove())

  /** Calls the shim, and expects the program to be started as by a runtime, but for its arguments. */
  async function expectProgram(agent: readonly string[], words: readonly string[], prepared: string[] = []) {
    const { program, seen, ...outcome } = await bed.call({ agent, prepared, env, input })
    expect(outcome).toEqual({ code: 42, signal: null, stdout: '', stderr: '' })
    expect(program?.arguments).toEqual([bed.shim, ...words])
    expect(program?.stdin.toString()).toBe(input)
    expect(program?.environment).toEqual(
      bed.environment(env).filter((one) => kept.includes(one.split('=')[0] ?? '')),
    )
    expect(program).toMatchObject({ descriptors: [0, 1, 2], diesOfPipe: true, readError: false })
    expect(seen.filter(({ failed }) => failed !== undefined)).toEqual([])
    return seen
  }

  const ready = (words: Readonly<Record<string, string | number>> = {}) =>
    send({ kind: kinds.ready, text: bed.id, ...words })

  describe('as without an agent', () => {
    test.each<[string, () => readonly string[]]>([
      ['there is none', () => []],
      ['the socket was left behind', () => ['quiet']],
      ['the queue of connections is full', () => ['full', 'stop']],
      // It would take a call, and close, so that a shim that sends one is not kept waiting.
      ['the listener is not root', () => ['nobody', ...greeted, wait, ready(), 'packet', 'close']],
      ['it is stopped', () => ['stop']],
      ['it is stopped after it has accepted', () => ['accept', 'stop']],
      ['it closes at once', () => ['accept', 'close']],
      ['it closes after the hello', () => [...greeted, 'close']],
      ['it is silent', () => greeted],
      ['it closes after WAIT', () => [...greeted, wait, 'close']],
      ['it says STANDALONE', () => [...greeted, send({ kind: kinds.standalone, text: 'busy' })]],
      ['it says STANDALONE after WAIT', () => [...greeted, wait, send({ kind: kinds.standalone })]],
      ['it says WAIT twice', () => [...greeted, wait, wait, ready()]],
      ['it is of another build', () => [...greeted, wait, ready({ text: bed.id.replace(/.$/, 'x') })]],
      ['it is of a build with a longer id', () => [...greeted, wait, ready({ text: `${bed.id}0` })]],
      ['it has no build', () => [...greeted, wait, ready({ text: '' })]],
      ['another protocol', () => [...greeted, wait, ready({ magic: 0x02616676 })]],
      ['another kind', () => [...greeted, wait, ready({ kind: 99 })]],
      ['an answer too early', () => [...greeted, answered({ text: bed.id })]],
      ['a message that is too short', () => [...greeted, wait, ready({ bytes: 255 })]],
      ['a message that is too long', () => [...greeted, wait, ready({ bytes: 257 })]],
      ['an empty message', () => [...greeted, send({ bytes: 0 })]],
      ['READY with a descriptor', () => [...greeted, wait, ready({ files: 1 })]],
      ['READY with two descriptors', () => [...greeted, wait, ready({ files: 2 })]],
      ['WAIT with a descriptor', () => [...greeted, send({ kind: kinds.wait, files: 1 }), ready()]],
    ])('%s', async (_, agent) => {
      const seen = await expectProgram(agent(), [])
      expect(seen.filter(({ kind }) => kind === 2)).toEqual([])
    })

    test('it has the call, and refuses', async () => {
      const seen = await expectProgram([...bed.called, send({ kind: kinds.refused, text: 'why' })], [])
      expect(seen.filter(({ kind }) => kind === 2)).toHaveLength(1)
    })

    test.each([['STATUS', 'one'], ['VERSIONS'], ['add'], ['']])(
      'verb "%s", arguments %j: the agent is not asked, and the input not read',
      async (verb, ...words) => {
        const call = { env: { CNI_COMMAND: verb }, arguments: words, input }
        const { code, program, seen } = await bed.call({ agent: ['accept'], ...call })
        expect([code, program?.arguments, program?.stdin.toString()]).toEqual([
          ...[42, [bed.shim, ...words], input],
        ])
        expect(seen).toEqual([{ pid: expect.any(Number) }])
      },
    )

    test('a name that is no plugin', async () => {
      const { code, program } = await bed.call({ env: { CNI_COMMAND: 'VERSION' }, name: 'bridge' })
      expect([code, program?.arguments]).toEqual([42, [`${bed.folder}/bridge`]])
    })

    test('no input: descriptor 0 is closed, and stays so', async () => {
      for (const agent of [[], ['accept']]) {
        const { code, program, seen } = await bed.call({ agent, prepared: ['without:0'] })
        expect(seen.map((one) => Object.keys(one))).toEqual(agent.map(() => ['pid']))
        expect(code).toBe(42)
        expect(program).toMatchObject({ descriptors: [1, 2], readError: true })
      }
    })

    test.each(form === 'sanitized' ? [4, 5] : [3, 4, 5])('descriptors below %i only', async (count) => {
      const { program } = await bed.call({ agent: ['quiet'], prepared: [`files:${count}`], env, input })
      expect(program?.stdin.toString()).toBe(input)
      expect(program).toMatchObject({ arguments: [bed.shim], descriptors: [0, 1, 2] })
    })
  })

  describe('with --lost-worker', () => {
    test.each<[string, () => readonly string[]]>([
      ['it closes', () => ['close']],
      ['another protocol', () => [answered({ magic: 1 })]],
      ['another kind', () => [answered({ kind: kinds.ready, text: bed.id })]],
      ['a hello', () => [send({ kind: 1 })]],
      ['WAIT', () => [wait]],
      ['STANDALONE', () => [send({ kind: kinds.standalone })]],
      ['a refusal with a descriptor', () => [send({ kind: kinds.refused, files: 1 })]],
      ['a message that is too short', () => [answered({ bytes: 100 })]],
      ['a message that is too long', () => [answered({ bytes: 600 })]],
      ['an empty message', () => [send({ bytes: 0 })]],
      ['an answer without a descriptor', () => [answered({ files: 0 })]],
      ['an answer with two descriptors', () => [answered({ files: 2 })]],
      ['an answer with eight descriptors', () => [answered({ files: 8 })]],
      ['an answer that is a folder', () => [answered({ directory: 1 }), 'packet', 'close']],
      ['a first part that is not there', () => [answered({ first: 11, second: 0 })]],
      ['a second part that is not there', () => [answered({ first: 5, second: 6 })]],
      ['lengths that overflow', () => [answered({ first: 5, second: '18446744073709551615' })]],
      ['an exit code beyond 255', () => [answered({ value: 256 })]],
    ])('%s', async (_, steps) => {
      const seen = await expectProgram([...bed.called, ...steps()], ['--lost-worker'])
      expect(seen.filter(({ kind }) => kind === 2)).toHaveLength(1)
    })

    test('no descriptor is free for the answer', async () => {
      await expectProgram([...bed.called, answered({})], ['--lost-worker'], ['files:6'])
    })
  })

  test('beside the path that was called, if vf-flower is not beside the file itself', async () => {
    const links = `${bed.folder}/links`
    mkdirSync(`${links}/real`, { recursive: true })
    copyFileSync(bed.shim, `${links}/real/vf-attach`)
    symlinkSync('real/vf-attach', `${links}/vf-attach`)
    copyFileSync(`${bed.folder}/vf-flower`, `${links}/vf-flower`)
    const { code, program } = await bed.call({ name: 'links/vf-attach', input })
    expect([code, program?.arguments, program?.stdin.toString()]).toEqual([
      ...[42, [`${links}/vf-attach`], input],
    ])
    rmSync(links, { recursive: true })
  })
})
