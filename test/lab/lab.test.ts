import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { lab } from '../support/lab.ts'

describe('commands in the guest', () => {
  test('run as root in the checkout, on a kernel of their own', async () => {
    const vm = await lab()
    const { code, stdout } = await vm.exec(['sh', '-c', 'id -u; pwd; uname -r; cat package.json | head -2'])
    expect(code).toBe(0)
    const [uid, folder, kernel, ...rest] = stdout.trimEnd().split('\n')
    expect([uid, folder, kernel]).toEqual(['0', process.cwd(), vm.kernel])
    expect(rest.join()).toContain('"name": "vf-flower"')
  })

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

  test('take bytes on standard input and give them back unchanged', async () => {
    const vm = await lab()
    const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7) & 0xff)
    const result = await vm.exec(['cat'], { stdin: bytes })
    expect(Buffer.compare(result.stdoutBytes, bytes)).toBe(0)
    expect((await vm.exec(['wc', '-c'])).stdout).toBe('0\n')
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

describe('files in the guest', () => {
  test('are written with their mode and read back, without reaching the host', async () => {
    const vm = await lab()
    const path = '/var/lib/lab-test/deep/file'
    await vm.writeFile(path, 'größer\n', 0o600)
    expect(await vm.readFile(path)).toBe('größer\n')
    expect(await vm.must(`stat -c %a ${path}`)).toBe('600\n')
    expect(readdirSync('/var/lib')).not.toContain('lab-test')
    await vm.must('rm -r /var/lib/lab-test')
    await expect(vm.readFile(path)).rejects.toThrow(/ENOENT/)
  })
})

test('a file that changes on the host is seen after a refresh', async () => {
  const vm = await lab()
  const folder = mkdtempSync(join(tmpdir(), 'vf-refresh-'))
  const path = join(folder, 'file')
  try {
    writeFileSync(path, 'old')
    expect(await vm.readFile(path)).toBe('old')
    writeFileSync(path, 'new and longer')
    await vm.refresh()
    expect(await vm.readFile(path)).toBe('new and longer')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('modules of the kernel load', async () => {
  const vm = await lab()
  await vm.must('modprobe dummy numdummies=0 && grep -q ^dummy /proc/modules && rmmod dummy')
})
