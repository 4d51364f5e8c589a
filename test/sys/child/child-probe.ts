// Starts children in Bun, and prints as JSON what became of them. Without an event loop between, and with one.
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { type ChildOptions, collect, startChild } from '../../../src/sys/child/child.ts'
import { errorCode } from '../../../src/sys/errno.ts'
import { bindLibc } from '../../../src/sys/ffi.ts'

const most = 1 << 20

function start(script: string, more: Partial<ChildOptions> = {}) {
  const stdio = { stdin: '', stdout: 'collect', stderr: 'collect' } as const
  return startChild({
    file: '/bin/sh',
    argv: ['sh', '-c', script],
    env: { PATH: '/usr/bin:/bin' },
    ...stdio,
    ...more,
  })
}

const run = (script: string, more: Partial<ChildOptions> = {}) => collect(start(script, more), most)

function codeOf(action: () => unknown): string | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    return errorCode(error)
  }
}

const descriptors = () => readdirSync('/proc/self/fd').length
const libc = bindLibc({
  sigprocmask: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' },
  signal: { args: ['i32', 'u64'], returns: 'u64' },
  dup: { args: ['i32'], returns: 'i32' },
  getpid: { args: [], returns: 'i32' },
})
const [SIG_BLOCK, SIG_IGN, SIGPIPE, SIGTERM, SIGCHLD] = [0, 1n, 13, 15, 17]

const results: Record<string, unknown> = {}
run('exit 0')
const before = descriptors()

results.exits = run('cat; echo "$V"; echo err >&2; exit 7', { stdin: 'in ü ', env: { V: 'a=b c' } })
results.signal = run('kill -9 $$')
results.started = [
  codeOf(() => startChild({ file: '/nowhere', env: {}, stdin: '', stdout: 'collect', stderr: 'collect' })),
  codeOf(() => startChild({ file: '/proc', env: {}, stdin: '', stdout: 'collect', stderr: 'collect' })),
  codeOf(() => start('', { env: { A: 'a\0b' } })),
]

// Its output is longer than two pipes, and comes in turns.
const long = run(
  'i=0; while [ $i -lt 40 ]; do head -c 5000 /dev/zero; head -c 5000 /dev/zero >&2; i=$((i+1)); done',
)
results.long = [long.stdout.length, long.stderr.length, long.isTooLong]
results.tooLong = run('exec cat /dev/zero')
results.stderrTooLong = run('exec cat /dev/zero >&2', { stdout: 1 }).isTooLong

// A child waits for a file that this process makes after it has started two: so neither start waits for an end.
const folder = process.argv[2] as string
const [first, second] = [0, 1].map(() => start(`while ! [ -e ${folder}/go ]; do sleep 0.01; done; echo went`))
run(`touch ${folder}/go`)
results.beside = [second, first].map((child) => child && collect(child, most).stdout)

const held = openSync(`${folder}/go`, 'r')
// Not close-on-exec, as a descriptor that this process was started with.
const inherited = libc.dup(held)
results.descriptors = run('cd /proc/self/fd && for fd in *; do [ -e $fd ] && echo $fd; done', { held }).stdout
results.heldFile = run('readlink /proc/$$/fd/3', { held }).stdout
results.stdinPlace = run('cat; cat /dev/stdin', { stdin: 'twice ' }).stdout
closeSync(held)
closeSync(inherited)

// Blocked and ignored here: a child has neither.
libc.signal(SIGPIPE, SIG_IGN)
const set = new Uint8Array(128)
new DataView(set.buffer).setBigUint64(0, (1n << BigInt(SIGTERM - 1)) | (1n << BigInt(SIGCHLD - 1)), true)
libc.sigprocmask(SIG_BLOCK, set, null)
const masks = (status: string) => /^SigBlk:\s*(\w+)\n.*^SigIgn:\s*(\w+)$/ms.exec(status)?.slice(1)
results.ours = masks(readFileSync('/proc/thread-self/status', 'utf8'))?.map(
  (mask) => BigInt(`0x${mask}`) !== 0n,
)
results.signals = masks(run('exec cat /proc/self/status').stdout)

results.interrupted = run(
  `for i in 1 2 3 4 5; do kill -WINCH ${libc.getpid()}; sleep 0.02; done; echo done`,
).stdout

results.left = descriptors() - before

// Bun waits for children of its own meanwhile, and its event loop runs.
const child = start('sleep 0.1; exit 9')
const own = Bun.spawn(['/bin/sh', '-c', 'exit 4'])
const ownSync = Bun.spawnSync(['/bin/sh', '-c', 'exit 5'])
const ownStatus = await own.exited
await Bun.sleep(300)
results.besideBun = [collect(child, most).status, ownStatus, ownSync.exitCode]
results.twice = codeOf(() => collect({ ...child, stdout: undefined, stderr: undefined }, most))

console.log(JSON.stringify(results))
