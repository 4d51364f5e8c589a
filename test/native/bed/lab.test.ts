// Commands run in the same way in a node of namespaces and in the virtual machine: one agent carries them out in both.
// test/native/bed/node.test.ts and test/lab/bed/lab.test.ts have what is true of one alone.
// needs: veth
import { describe, expect, test } from 'vitest'
import { lab } from '../../support/lab.ts'

describe('commands in the guest', () => {
  test('keep both output streams, the exit code and the signal apart', async () => {
    const vm = await lab()
    expect(await vm.sh('echo out; echo err >&2; exit 7')).toMatchObject({
      code: 7,
      signal: null,
      stdout: 'out\n',
      stderr: 'err\n',
    })
    expect(await vm.sh('kill -TERM $$')).toMatchObject({ code: 143, signal: 'SIGTERM' })
  })

  test('see the environment and folder that they are given', async () => {
    const vm = await lab()
    const added = await vm.exec(['sh', '-c', 'echo "$WORD $HOME"; pwd'], {
      env: { WORD: 'a b' },
      cwd: '/proc',
    })
    expect(added.stdout).toBe('a b /root\n/proc\n')
    const clean = await vm.exec(['/usr/bin/env'], { env: { ONLY: '1' }, cleanEnv: true })
    expect(clean.stdout).toBe('ONLY=1\n')
  })

  test('run at the same time', async () => {
    const vm = await lab()
    // Each waits for the other's file: one after the other they would never end.
    const meet = (own: string, other: string) =>
      vm.sh(`touch /run/${own}; until [ -e /run/${other} ]; do sleep 0.05; done; rm /run/${other}`)
    const [one, two] = await Promise.all([meet('left', 'right'), meet('right', 'left')])
    expect([one.code, two.code]).toEqual([0, 0])
  })

  test('are killed with all that they started when the time is up', async () => {
    const vm = await lab()
    const call = vm.sh('echo begun; sleep 987 & sleep 987', { timeoutMs: 1_500 })
    await expect(call).rejects.toThrow(/no end after 1500 ms\nstdout:\nbegun/)
    expect((await vm.sh("pgrep -f '^sleep 987'")).code).toBe(1)
  })

  test('stay in the background until they are signalled', async () => {
    const vm = await lab()
    const cat = await vm.spawn(['cat'])
    cat.write('one\n')
    await expect.poll(() => cat.stdout(), { timeout: 30_000 }).toBe('one\n')
    cat.kill('SIGINT')
    expect(await cat.wait()).toMatchObject({ code: 130, signal: 'SIGINT', stdout: 'one\n' })
  })

  test('fail with the name of the program that does not exist', async () => {
    const vm = await lab()
    await expect(vm.exec(['/no/such/program', 'x'])).rejects.toThrow(
      /Cannot run '\/no\/such\/program x' in the lab: .*ENOENT/,
    )
    await expect(vm.must('echo partial; exit 3')).rejects.toThrow(/code 3 .*\n.*\npartial/)
  })
})
