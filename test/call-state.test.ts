// A worker of the agent serves many calls in one process: no module has a variable that one call changes and another one sees. Each
// exception stands here with its reason. test/native/program/calls.test.ts compares many calls in one process with processes of their own.
import { expect, test } from 'vitest'
import { bare, product, text } from './support/source-tree.ts'

/** Variables of modules that change, by file and name, each with the reason why no call sees another one by it. */
const variables: Readonly<Record<string, string>> = {
  'src/lib/call/call.ts state': 'the call itself; inCall sets it at the beginning and at the end',
  'src/run-cni.ts loaded': 'code, which is the same for every call',
  'src/sys/ffi.ts bound': 'functions of libc',
  'src/sys/ffi.ts anySystemCall': 'the same',
  'src/sys/child/child.ts bound': 'the same',
  'src/sys/child/end.ts bound': 'the same',
  'src/sys/namespaces.ts home': 'the namespace that the process began in',
  'src/sys/namespaces.ts canReturn': 'a right of the process, which no call changes',
  'src/sys/namespaces.ts here': 'the way back of a visit: no namespace outside of one',
  'src/kernel/linux/kept/sockets.ts hostSockets':
    'sockets of the host that no answer is under way on; a kernel has one for itself',
  'src/kernel/nftables/host-table.ts made': 'requests, which never change',
  'src/kernel/tc/loopback-guard.ts kept': 'loaded programs, whose instructions never change',
  'src/sys/netlink.ts buffer': 'memory for one datagram, filled by each',
  'src/sys/unix-socket.ts scratch': 'memory for one packet; what is read is copied out of it at once',
  'src/sys/own-netns.ts home':
    'the namespace of the process: a worker that is in another one after a call ends',
  'src/kernel/linux-machine.ts bootId':
    'the kernel chooses it once per boot, and a process does not outlive a boot',
  'src/sys/lock/byte-locks.ts lock': 'memory for one system call, filled before each',
  'src/netlink/codec/tlv.ts styles': 'by the decoded object: gone with it',
  'src/lib/json.ts numberLiteral': 'its place is set before each search',
  'src/kernel/nftables/ruleset-diff.ts tokens': 'used by match alone, which begins anew',
  'src/offload/config/portmap-compat.ts conditions': 'never changes: a variable of a function has its name',
  'src/sys/sleep.ts sleeper': 'nobody writes it: a sleep waits in vain for a change',
  'src/kernel/linux/lazy.ts loaded': 'code, which is the same for every call',
  'src/netlink/tc/compare.ts fullMasks': 'by the name of a key, whose size never changes',
  'src/records/record.ts made': 'forms, which never change',
  'src/sys/files.ts beginning': 'memory for one read; what is read is copied out of it at once',
  'src/records/ops/table.ts byName': 'made from a constant table, when first asked for',
}

/** Uses of the process, by file: a worker’s process is not the call’s. */
const processUses: Readonly<Record<string, string>> = {
  'src/lib/call/call.ts process.env': 'outside of a call alone',
  'src/run-cni.ts } = process': 'the only call of this process',
  'src/ops/fault.ts process.kill': 'SIGKILL has to end the worker',
  'src/ops/fault.ts process.pid': 'the same',
  'src/sys/child/child.ts process.kill': 'ends a child of the call',
  'src/lib/log/log.ts process.pid': 'says who wrote the line',
  'src/sys/namespaces.ts process.abort': 'a thread in the wrong namespace must not go on, nor its worker',
  'src/sys/namespaces.ts console.error': 'the last words of a process',
}

/** Files that no worker loads for a call. */
const isOutside = (file: string) =>
  /^src\/(main\.ts|ctl\/|agent\/|install\/|node-check\/)|^device-plugin\//.test(file)
const files = product.filter((file) => file.endsWith('.ts') && !isOutside(file))

const readonlyType = /^(readonly |Readonly|ReadonlyMap|ReadonlySet)/

/** Names of the variables of a module that change, or may. */
function changing(source: string): string[] {
  const declared = [...source.matchAll(/^(?:export )?(let|var|const) (\w+)(?:: ([^=\n]+))?(?: = ?(.*))?$/gm)]
  const fields = [
    ...source.matchAll(/^ {2}(?:public |private )?static (?!readonly )(\w+)(?:: [^=(\n]+)? = /gm),
  ]
  const names = declared.flatMap(([, keyword, name = '', type = '', value = '']) => {
    const isMemory = /^new (Weak)?(Map|Set)\b|^new \w*Array\(/.test(value) && !readonlyType.test(type)
    // A search goes on where the one before has ended.
    const isPlace = /^\/.*\/\w*[gy]\w*$/.test(value)
    // The bytes of a constant.
    const isConstant = /^new \w*Array\((\[[^\]]*\]|)\)/.test(value)
    const change = new RegExp(
      [
        `^(?!export |const ).*(?<![\\w.])${name}(?:\\.\\w+|\\[[^\\]\\n]+\\])+ (?:[-+|&?*/]{1,2})?=(?![=>])`,
        `(?<![\\w.])${name}\\.(?:push|set|add|delete|clear|splice|unshift|pop|shift|sort|reverse|fill)\\(`,
        `Object\\.assign\\(${name},`,
      ].join('|'),
      'm',
    )
    return keyword !== 'const' || (isMemory && !isConstant) || isPlace || change.test(source) ? [name] : []
  })
  return [...names, ...fields.map(([, name = '']) => name)]
}

/** Uses of the process in a file. */
function usesOf(source: string): string[] {
  const found = source.matchAll(
    /(\} = process\b(?!\.)|\bprocess\.(?:env|exitCode|exit|abort|kill|pid|ppid|cwd|chdir|umask|argv0?|stdout|stderr|stdin|on|once|title)|\bconsole\.\w+)\b/g,
  )
  return [...new Set([...found].map(([, use = '']) => use))]
}

test('no module has a variable that changes, but for those with a reason', () => {
  const found = files.flatMap((file) => changing(bare(text(file))).map((name) => `${file} ${name}`))
  expect(found.sort()).toEqual(Object.keys(variables).sort())
})

test('no module uses the process, but for those with a reason', () => {
  const found = files.flatMap((file) => usesOf(bare(text(file))).map((use) => `${file} ${use}`))
  expect(found.sort()).toEqual(Object.keys(processUses).sort())
})

test.each([
  ['let tried = 0', ['tried']],
  ['export let one: Stats | undefined', []],
  ['const known = new Map<string, number>()', ['known']],
  ['const known: ReadonlySet<string> = new Set(["a"])', []],
  ['const bytes = new Uint8Array(8)', ['bytes']],
  ['const bytes = new Uint8Array([1, 2])', []],
  ['const cache: Cache = {}\nfunction f() {\n  cache.x = 1\n}', ['cache']],
  ['const list: string[] = []\nfunction f() {\n  list.push(1)\n}', ['list']],
  ['const list = [1]\nfunction f(list: string[]) {\n  return list.length === 1\n}', []],
  ['class A {\n  static last = 1\n}', ['last']],
  ['function f() {\n  let own = 1\n}', []],
])('the search finds in %j: %j', (source, names) => {
  const more = source.startsWith('export let') ? ['one'] : []
  expect(changing(source)).toEqual([...names, ...more])
})

test('the search finds uses of the process', () => {
  expect(usesOf("const a = process.env.X ?? process.cwd()\nconsole.log('x')")).toEqual([
    'process.env',
    'process.cwd',
    'console.log',
  ])
  expect(usesOf('const { env } = process')).toEqual(['} = process'])
})
