// The script that runs a real kubelet refuses command lines that name no programs, with what is allowed, before it starts anything. The run
// itself is in test/native/runtime/kubelet-run.test.ts.
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { afterAll, expect, test } from 'vitest'
import { ProgramsError, programsOf } from '../../hack/lab/kubelet/real/programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'programs-'))
afterAll(() => rmSync(folder, { recursive: true }))
const program = join(folder, 'kubelet')
const text = join(folder, 'text')
writeFileSync(program, '', { mode: 0o755 })
writeFileSync(text, '', { mode: 0o644 })

test.each([
  [[], 'KUBELET is missing: name the program'],
  [['--lab'], 'KUBELET is missing: name the program'],
  [[join(folder, 'nothing')], `Cannot use KUBELET ${folder}/nothing: there is no such file`],
  [[folder], `Cannot use KUBELET ${folder}: must be a file, not a folder`],
  [[text], `Cannot use KUBELET ${text}: must be executable`],
  [[program, text], `Cannot use KUBE-APISERVER ${text}: must be executable`],
  [[program, program, program], `Cannot use "${program}": at most two programs`],
  [['--multus', program, program], 'Cannot use --multus without KUBE-APISERVER'],
  [['--etcd', program, program], 'Cannot use --etcd without KUBE-APISERVER'],
  [['--multus', text, program, program], `Cannot use --multus ${text}: must be executable`],
  [['--scheduler', program, program, program], 'Cannot use --scheduler without --controller-manager'],
  [
    ['--controller-manager', program, '--scheduler', program, program, program],
    'Cannot use --controller-manager without --multus',
  ],
  [['--multus-daemon', program, program], 'Cannot use --multus-daemon without KUBE-APISERVER'],
  [
    ['--multus-daemon', program, program, program],
    'Cannot use --multus-daemon without --multus-shim: the runtime calls the shim',
  ],
  [
    ['--multus-shim', program, program, program],
    'Cannot use --multus-shim without --multus-daemon: the shim calls the daemon',
  ],
  [
    ['--multus-daemon', program, '--multus-shim', program, '--multus', program, program, program],
    'Cannot use --multus-daemon with --multus: name one or the other',
  ],
  [
    ['--lab', '--multus-daemon', program, '--multus-shim', program, program, program],
    'Cannot use --multus-daemon with --lab: name one or the other',
  ],
  [['--port', '1', program], "Unknown option '--port'"],
])('refuses %j', (args, words) => {
  expect(() => programsOf(args)).toThrow(ProgramsError)
  expect(() => programsOf(args)).toThrow(words)
})

test('refuses a program that the node does not see', () => {
  const memory = mkdtempSync('/dev/shm/programs-')
  const hidden = join(memory, 'kubelet')
  symlinkSync('/bin/true', hidden)
  try {
    expect(() => programsOf([hidden])).toThrow('the node does not see /dev/shm; must be in another folder')
  } finally {
    rmSync(memory, { recursive: true })
  }
})

test('takes programs by relative paths too', () => {
  expect(programsOf(['--lab', program, '/bin/true'])).toEqual({
    ...{ kubelet: program, apiserver: '/bin/true', isLab: true },
  })
})

test('takes the two programs of Multus as a daemon', () => {
  const words = ['--multus-daemon', program, '--multus-shim', '/bin/true', program, program]
  expect(programsOf(words)).toEqual({
    ...{ kubelet: program, apiserver: program, isLab: false, thick: { daemon: program, shim: '/bin/true' } },
  })
})

test('the script ends with code 2 and says the form of the command line', () => {
  const script = join(import.meta.dirname, '../../hack/real-kubelet.sh')
  const { exitCode, stderr, stdout } = execaSync('sh', [script], { reject: false })
  expect([exitCode, stdout]).toEqual([2, ''])
  expect(stderr).toContain('usage: sh hack/real-kubelet.sh [--lab] [--multus FILE] [--etcd FILE] KUBELET')
})
