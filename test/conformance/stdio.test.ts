// Descriptors that are non-blocking are waited for, without spinning.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { executable } from '../support/executable.ts'
import { addEnv } from '../support/run-verb.ts'

// Pipes that their makers have set to non-blocking, late with their input or full. Needs perl and strace.

// Processes of 100 MB on machines that may be busy, and one wait of ten seconds.
vi.setConfig({ testTimeout: 60_000 })

const file = executable('vf-attach')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stdio-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Executes `argv` with a descriptor set to non-blocking. */
const nonBlocking = (handle: string, argv: readonly string[]) => [
  'perl',
  '-e',
  `use Fcntl; fcntl(${handle}, F_SETFL, fcntl(${handle}, F_GETFL, 0) | O_NONBLOCK); exec @ARGV or die $!`,
  ...argv,
]

/** As a child of the test: its stdin can be written to, and is one end of a pipe or socket of its own. */
function start(argv: readonly string[], env: Record<string, string>) {
  const [program = '', ...args] = argv
  const child = spawn(program, args, { env: { ...env, PATH: process.env.PATH } })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (data) => {
    stdout += data
  })
  child.stderr.on('data', (data) => {
    stderr += data
  })
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
  return { child, ended }
}

/** The output of strace so far. */
const traced = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : '')

test('a stdin that is non-blocking and late is waited for, without spinning', async () => {
  const trace = join(folder, 'trace')
  const argv = ['strace', '-f', '-qq', '-e', 'trace=read', '-o', trace, file]
  const { child, ended } = start(nonBlocking('STDIN', argv), addEnv)
  const tries = () => traced(trace).match(/read\(0,.*EAGAIN/g)?.length ?? 0
  await expect.poll(tries, { timeout: 30_000 }).toBeGreaterThanOrEqual(3)
  child.stdin.write('{"cniVersion":"1.0.0",')
  await expect.poll(tries, { timeout: 30_000 }).toBeGreaterThanOrEqual(6)
  child.stdin.end('"name":"n","vlan":5000}')
  const { code, stdout } = await ended
  expect(JSON.parse(stdout)).toMatchObject({ code: 7, msg: expect.stringContaining('Cannot use vlan 5000') })
  expect(code).toBe(1)
})

describe('a stdout that is non-blocking and full', () => {
  /**
   * Fills a pipe, starts the program with it as stdout, has `meanwhile` run, and prints what the program left in the pipe,
   * its exit code and the seconds of processor time that it took.
   */
  const filled = (meanwhile: string) => `use Fcntl; pipe(my $out, my $in);
    fcntl($in, F_SETFL, fcntl($in, F_GETFL, 0) | O_NONBLOCK);
    my $filler = "x" x 4096; my $full = 0;
    while (my $n = syswrite($in, $filler)) { $full += $n }
    my $pid = fork(); if ($pid == 0) { open(STDOUT, ">&", $in); exec @ARGV or die $! }
    close $in;
    ${meanwhile}
    waitpid($pid, 0); my $code = $? >> 8;
    my $left = ""; while (sysread($out, my $part, 65536)) { $left .= $part }
    my ($user, $system) = (times)[2, 3];
    print substr($left, $full), "\\n$code ", $user + $system, "\\n"`

  test('is waited for', async () => {
    const trace = join(folder, 'trace')
    const argv = ['strace', '-f', '-qq', '-e', 'trace=write', '-o', trace, file]
    // Read only once the program has found it full.
    const tried = `sub tries { open(my $t, "<", "${trace}") or return 0; return scalar(grep { /write.1,.*EAGAIN/ } <$t>) }
      until (tries() >= 2) { select(undef, undef, undef, 0.01) }
      my $drained = 0; while ($drained < $full) { $drained += sysread($out, my $part, $full - $drained) } $full = 0;`
    const { stdout, code } = await start(['perl', '-e', filled(tried), ...argv], { CNI_COMMAND: 'VERSION' })
      .ended
    const [json = '', , end] = stdout.trim().split('\n')
    expect(JSON.parse(json)).toMatchObject({ cniVersion: '1.1.0' })
    expect([end, code]).toEqual([expect.stringMatching(/^0 /), 0])
  })

  test('but not for ever, and not by trying as fast as it can', async () => {
    const { stdout, stderr } = await start(['perl', '-e', filled(''), file], { CNI_COMMAND: 'VERSION' }).ended
    const [code, seconds] = stdout.trim().split(' ')
    expect(code).toBe('1')
    expect(stderr).toBe('error writing to stdout: poll: ETIMEDOUT: nobody took anything for 10000 ms\n')
    expect(Number(seconds)).toBeLessThan(5)
  })
})
