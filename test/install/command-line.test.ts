// The command line of vf-flower: what is understood, and how each other word is refused.
import { describe, expect, test } from 'vitest'
import { readCommandLine } from '../../src/install/command-line.ts'
import { usage } from '../../src/install/usage.ts'

const none = { root: '', binDirs: [], aliases: [], network: undefined, dryRun: false, force: false }

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
  [
    ['install', '--alias', 'bridge'],
    '--alias has "bridge"; must be some of sriov, host-device, portmap, bandwidth, with commas',
  ],
])('is refused: %j', (words, problem) => {
  expect(readCommandLine(words)).toEqual({ kind: 'refused', problem })
})

test('the help has every option', () => {
  for (const option of ['--root', '--bin-dir', '--alias', '--network', '--dry-run', '--force'])
    expect(usage).toContain(option)
  expect(Math.max(...usage.split('\n').map((line) => line.length))).toBeLessThan(101)
})
