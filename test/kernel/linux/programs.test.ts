// A program's stderr belongs to the call that runs it: in a worker of the agent it is collected, in a process of its own it goes to that
// process's stderr at once. In Bun, because vitest's Node can't open libc.
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'

test('stderr is collected for an answer, or is that of the process', async () => {
  const { stdout, stderr } = await execa('sh', ['hack/bun.sh', 'test/kernel/linux/programs-probe.ts'], {
    cwd: join(import.meta.dirname, '../../..'),
    stdin: 'ignore',
  })
  expect(stderr).toBe('at once')
  expect(JSON.parse(stdout)).toEqual({
    inWorker: { status: 0, signal: null, stdout: 'out\n', stderr: 'collected\n' },
    inProcess: { status: 0, signal: null, stdout: '' },
    long: { code: 'ENOBUFS' },
    missing: { status: null, signal: null, stdout: '', error: { name: 'ChildError', code: 'ENOENT' } },
  })
})
