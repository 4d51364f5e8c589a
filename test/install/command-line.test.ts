// The command line of vf-flower: what is understood, and how each other word is refused.
import { describe, expect, test } from 'vitest'
import { readCommandLine } from '../../src/install/command-line.ts'
import { usage } from '../../src/install/usage.ts'

const none = {
  ...{ root: '', binDirs: [], aliases: [], network: undefined, dryRun: false, force: false },
  ...{ libexecDir: undefined, service: true },
}

describe('is read', () => {
  test.each([
    [['install'], { command: 'install' }],
    [['uninstall', '--force'], { command: 'uninstall', force: true }],
    [
      ['install', '--root', '/srv//image/', '--dry-run'],
      { command: 'install', root: '/srv/image', dryRun: true },
    ],
    [
      ['install', '--bin-dir=/a', '--bin-dir', '/b/', '--bin-dir', '/a'],
      { command: 'install', binDirs: ['/a', '/b'] },
    ],
    [
      ['install', '--alias', 'sriov,portmap', '--alias', 'sriov'],
      { command: 'install', aliases: ['sriov', 'portmap'] },
    ],
    [['install', '--network', 'example'], { command: 'install', network: 'example' }],
    [['install', '--root', '/'], { command: 'install' }],
    [['install', '--libexec-dir', '/var//lib/x/'], { command: 'install', libexecDir: '/var/lib/x' }],
    [['install', '--no-service'], { command: 'install', service: false }],
  ])('%j', (words, wishes) => {
    expect(readCommandLine(words)).toEqual({ kind: 'run', wishes: { ...none, ...wishes } })
  })

  test.each([['--help'], ['-h'], ['install', '--help'], ['uninstall', '-h']])('help: %s', (...words) => {
    expect(readCommandLine(words)).toEqual({ kind: 'help' })
  })
})

test.each([
  [[], 'a command is missing; must be install or uninstall'],
  [['remove'], 'unknown command "remove"; must be install or uninstall'],
  [['install', '--force'], 'unknown argument "--force" of install'],
  [['uninstall', '--alias', 'sriov'], 'unknown argument "--alias" of uninstall'],
  [['install', '--dry-run=yes'], 'unknown argument "--dry-run=yes" of install'],
  [['install', '--root'], '--root needs a value'],
  [['install', '--root', '--dry-run'], '--root needs a value'],
  [['install', '--root', 'image'], '--root is "image"; must be an absolute path'],
  [['install', '--bin-dir', '/a/../b'], '--bin-dir is "/a/../b"; must be a path without ".."'],
  [['install', '--root', '/a', '--root', '/b'], '--root is given twice'],
  [['install', '--libexec-dir', 'x'], '--libexec-dir is "x"; must be an absolute path'],
  [['install', '--libexec-dir', '/.'], '--libexec-dir is "/"; must be a folder below it'],
  [['install', '--libexec-dir', '/a', '--libexec-dir', '/b'], '--libexec-dir is given twice'],
  [['uninstall', '--no-service'], 'unknown argument "--no-service" of uninstall'],
  [
    ['install', '--alias', 'bridge'],
    '--alias has "bridge"; must be some of sriov, host-device, portmap, bandwidth, with commas',
  ],
])('is refused: %j', (words, problem) => {
  expect(readCommandLine(words)).toEqual({ kind: 'refused', problem })
})

test('the help has every option', () => {
  const options = ['--root', '--bin-dir', '--libexec-dir', '--alias', '--network', '--no-service']
  for (const option of [...options, '--dry-run', '--force']) expect(usage).toContain(option)
  expect(Math.max(...usage.split('\n').map((line) => line.length))).toBeLessThan(101)
})
