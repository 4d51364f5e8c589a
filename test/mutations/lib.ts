import type { Mutation } from './mutation.ts'

/** Mistakes in src/lib. */
export const lib: readonly Mutation[] = [
  {
    id: 'lib-path-links',
    file: 'src/lib/bounded-path.ts',
    mistake: 'A path of a network config is looked at as it stands, not where its links lead.',
    old: '  const real = resolved(path)\n',
    now: '  const real = path\n',
    test: ['lib/bounded-path.test.ts', 'a link that leads out'],
    tier: 'quick',
  },
  {
    id: 'lib-path-open-folder',
    file: 'src/lib/bounded-path.ts',
    mistake: 'A path of a network config may go through a folder in which anybody can put a link later.',
    old: '  if ((stats.mode & 0o022) !== 0) {',
    now: '  if ((stats.mode & 0o022) === -1) {',
    test: ['lib/bounded-path.test.ts', 'a way through a folder of mode'],
    tier: 'quick',
  },
  {
    id: 'lib-log-of-others',
    file: 'src/lib/log/log-file.ts',
    mistake: 'A network config may have its log lines written into any file of root that nobody else reads.',
    old: '  if (stats.size === 0) return\n',
    now: '  if (stats.size >= 0) return\n',
    test: ['lib/log/log.test.ts', 'leaves a file'],
    tier: 'quick',
  },
  {
    id: 'lib-log-stdout',
    file: 'src/lib/log/log-file.ts',
    mistake: 'The log may be the file that gets the result.',
    old: "    if (isStdout(stats)) throw new UntrustedFile('it is our stdout, which belongs to the result')\n",
    now: '',
    test: ['native/program/policy.test.ts', 'our stdout is no log file'],
    tier: 'quick',
  },
  {
    id: 'lib-trusted-fifo',
    file: 'src/lib/trusted-file.ts',
    mistake: 'What is no file is read as one that decides something.',
    old: '    requireRegular(stats)\n',
    now: '',
    test: ['lib/trusted-file.test.ts', 'a FIFO, a folder and a device are named'],
    tier: 'quick',
  },
  {
    id: 'lib-trusted-writable',
    file: 'src/lib/trusted-file.ts',
    mistake: 'A file that anybody may write decides what root does.',
    old: '    if ((stats.mode & 0o022) !== 0)\n',
    now: '    if ((stats.mode & 0o022) === -1)\n',
    test: ['lib/trusted-file.test.ts', 'somebody else may have written it'],
    tier: 'quick',
  },
]
