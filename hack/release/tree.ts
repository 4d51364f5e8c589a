// The checkout that a release is made of. In: its folder. Out: its state, its time, and copies of its files in other folders.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execaSync } from 'execa'
import { ReleaseError } from './errors.ts'
import type { TreeFacts } from './plan.ts'

/** The state of the checkout in `top`. @throws ReleaseError without git, or outside of a checkout */
export function treeFacts(top: string): TreeFacts & { readonly time: number } {
  const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string }
  const [commit = '', time = ''] = git(top, 'log', '-1', '--format=%H %ct').trim().split(' ')
  const changes = git(top, 'status', '--porcelain', '-z').split('\0').filter(Boolean)
  return { version, commit, time: Number(time), changes }
}

/**
 * Copies the files of the checkout that git knows or would take, and the packages of npm, into the folder `to`, which must not be there.
 * `version` is that of package.json in the copy.
 */
export function copyTree(top: string, to: string, version: string): void {
  mkdirSync(dirname(to), { recursive: true })
  mkdirSync(to)
  const files = git(top, 'ls-files', '-z', '--cached', '--others', '--exclude-standard')
    .split('\0')
    .filter((file) => file !== '' && existsSync(join(top, file)))
  const input = files.join('\0')
  run('tar', ['-C', top, '--null', '--no-recursion', '-T', '-', '-cf', join(to, '.tree.tar')], input)
  run('tar', ['-C', to, '-xf', join(to, '.tree.tar')])
  run('rm', [join(to, '.tree.tar')])
  const [from, packages] = [join(top, 'node_modules'), join(to, 'node_modules')]
  // Names of the same files cost nothing; another file system can't have them.
  const linked = execaSync('cp', ['-al', from, packages], { reject: false })
  if (linked.failed) {
    run('rm', ['-rf', packages])
    run('cp', ['-a', from, packages])
  }
  const file = join(to, 'package.json')
  const parsed = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
  writeFileSync(file, `${JSON.stringify({ ...parsed, version }, null, 2)}\n`)
}

function git(top: string, ...words: readonly string[]): string {
  // A clone may belong to another user than root, who makes the release.
  return run('git', ['-c', 'safe.directory=*', '-C', top, ...words])
}

function run(program: string, args: readonly string[], input = ''): string {
  const { failed, stdout, stderr, message } = execaSync(program, args, {
    ...{ reject: false, input, stripFinalNewline: false, maxBuffer: 1 << 26 },
  })
  if (failed) throw new ReleaseError(`Cannot run "${program} ${args.join(' ')}": ${stderr || message}`)
  return stdout
}
