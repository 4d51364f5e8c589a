// The virtual machine has its own kernel, modules and a view of the host's files. test/native/bed/lab.test.ts has commands
// in general.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { lab } from '../../support/lab.ts'

describe('commands in the guest', () => {
  test('run as root in the checkout, on a kernel of their own', async () => {
    const vm = await lab()
    const { code, stdout } = await vm.exec(['sh', '-c', 'id -u; pwd; uname -r; cat package.json | head -2'])
    expect(code).toBe(0)
    const [uid, folder, kernel, ...rest] = stdout.trimEnd().split('\n')
    expect([uid, folder, kernel]).toEqual(['0', process.cwd(), vm.kernel])
    expect(rest.join()).toContain('"name": "vf-flower"')
  })

  test('take bytes on standard input and give them back unchanged', async () => {
    const vm = await lab()
    const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7) & 0xff)
    const result = await vm.exec(['cat'], { stdin: bytes })
    expect(Buffer.compare(result.stdoutBytes, bytes)).toBe(0)
    expect((await vm.exec(['wc', '-c'])).stdout).toBe('0\n')
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
