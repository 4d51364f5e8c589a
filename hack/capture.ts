// Captures the requests of `ip`, `bridge` and `tc` and the kernel's answers, as test/fixtures/nl/*.hex.
//   sh hack/bun.sh hack/capture.ts [NAME...]    all cases of capture-cases.ts, or some; needs root, strace, the lab
// Requests are captured in an empty network namespace of this machine: strace shows their bytes even where the kernel refuses.
// Answers that need drivers or filters are captured in the lab's machine, where this program runs with --print.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { NLMSG, nlmsghdr, parseDatagram } from '../src/netlink/message.ts'
import { type Case, cases, labSetup } from './capture-cases.ts'
import { annotateDatagram } from './lab/netlink/annotate.ts'
import { familyOf } from './lab/netlink/families.ts'

const top = fileURLToPath(new URL('..', import.meta.url))
const folder = `${top}test/fixtures/nl`

const args = process.argv.slice(2)
const names = args.filter((name) => !name.startsWith('-'))
const wanted = cases.filter(({ name }) => names.length === 0 || names.includes(name))
if (args.includes('--print')) {
  // In the lab's machine: one JSON array of names and texts on standard output.
  execFileSync('sh', ['-euc', labSetup], { stdio: ['ignore', 2, 2] })
  process.stdout.write(JSON.stringify(wanted.filter(({ lab }) => lab).map((one) => [one.name, capture(one)])))
} else {
  mkdirSync(folder, { recursive: true })
  const here = wanted.filter(({ lab }) => !lab).map((one): [string, string] => [one.name, capture(one)])
  for (const [name, text] of [...here, ...inLab()]) {
    writeFileSync(`${folder}/${name}.hex`, text)
    console.log(name)
  }
}

function inLab(): [string, string][] {
  const list = wanted.filter(({ lab }) => lab).map(({ name }) => name)
  if (list.length === 0) return []
  const argv = ['hack/bun.sh', 'hack/lab/cli.ts', 'sh', 'hack/bun.sh', 'hack/capture.ts', '--print', ...list]
  const { status, stdout } = spawnSync('sh', argv, {
    cwd: top,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 26,
  })
  if (status !== 0) throw new Error(`the lab ended with ${status}`)
  return JSON.parse(stdout)
}

/** Runs one case and returns the text of its fixture. */
function capture(one: Case): string {
  const trace = 'strace -f -qq -e trace=sendmsg,sendto,recvmsg -e write=all -e read=all -e signal=none'
  const script = `${one.setup ?? 'true'}\n${trace} -o "$out" ${one.command}\n`
  const out = `/tmp/capture.${process.pid}`
  const shell = one.lab ? ['sh', '-uc', script] : ['unshare', '-n', 'sh', '-uc', script]
  const [program = '', ...rest] = shell
  const { stderr } = spawnSync(program, rest, { encoding: 'utf8', env: { ...process.env, out } })
  const text = execFileSync('cat', [out], { encoding: 'utf8', maxBuffer: 1 << 26 })
  execFileSync('rm', [out])
  const datagrams = datagramsOf(text).map(({ sent, bytes }) => ({ sent, bytes, types: typesOf(bytes) }))
  const requests = [...datagrams.keys()].filter((at) => {
    const { sent = false, types = [] } = datagrams[at] ?? {}
    return sent && types.includes(one.type)
  })
  const first = requests[(one.nth ?? 1) - 1] ?? -1
  if (first < 0) throw new Error(`${one.name}: no ${one.type} in\n${text}${stderr}`)
  const after = datagrams.slice(first + 1)
  const next = after.findIndex(({ sent }) => sent)
  const chosen = one.answer ? after.slice(0, next < 0 ? undefined : next) : datagrams.slice(first, first + 1)
  if (chosen.length === 0) throw new Error(`${one.name}: no answer in\n${text}`)
  return `${header(one)}${chosen.map(({ bytes }) => annotateDatagram(anonymous(bytes))).join('')}`
}

function header(one: Case): string {
  const version = execFileSync('ip', ['-V'], { encoding: 'utf8' })
    .trim()
    .replace(/^.*(iproute2-[^,]+).*$/, '$1')
  const kernel = execFileSync('uname', ['-r'], { encoding: 'utf8' }).replace(/^(\d+\.\d+\.\d+).*\n$/, '$1')
  const how = one.answer ? `answer of Linux ${kernel} to ${version}` : `request of ${version}`
  const setup = (one.setup ?? '').split('\n').filter((line) => line !== '')
  const comments = [
    one.command,
    ...setup.map((line) => `after: ${line}`),
    `${how}; strace by hack/capture.ts, nlmsg_seq and nlmsg_pid zeroed`,
  ]
  return comments.map((line) => `# ${line}\n`).join('')
}

/** Zeroes sequence numbers and port ids, which differ in each run. */
function anonymous(datagram: Uint8Array): Uint8Array {
  const bytes = datagram.slice()
  for (const { payload, type } of parseDatagram(bytes)) {
    bytes.fill(0, payload.byteOffset - 8, payload.byteOffset)
    if (type === NLMSG.NLMSG_ERROR)
      bytes.fill(0, payload.byteOffset + 4 + 8, payload.byteOffset + 4 + nlmsghdr.size)
  }
  return bytes
}

function typesOf(datagram: Uint8Array): string[] {
  return parseDatagram(datagram).map(({ type }) => familyOf(type)?.[0] ?? String(type))
}

/** The datagrams in strace's output: its lines of hexadecimal, by call. */
function datagramsOf(text: string): { sent: boolean; bytes: Uint8Array }[] {
  const found: { sent: boolean; octets: number[] }[] = []
  let sent = false
  let open = false
  for (const line of text.split('\n')) {
    const call = /\b(sendmsg|sendto|recvmsg)\(/.exec(line)?.[1]
    if (call !== undefined) {
      sent = call !== 'recvmsg'
      open = false
    }
    const hex = /^ \| [0-9a-f]{5} {2}((?:[0-9a-f]{2} {1,2}){1,16})/.exec(line)?.[1]
    if (hex === undefined) continue
    if (!open) found.push({ sent, octets: [] })
    open = true
    found.at(-1)?.octets.push(
      ...hex
        .trim()
        .split(/ +/)
        .map((octet) => Number.parseInt(octet, 16)),
    )
  }
  return found.map((one) => ({ sent: one.sent, bytes: whole(Uint8Array.from(one.octets)) }))
}

/** Cuts a datagram to its message: iproute2 sends some dump requests with the unused rest of its buffer, which the kernel ignores. */
function whole(datagram: Uint8Array): Uint8Array {
  const length = nlmsghdr.read(datagram, 0, datagram.length).nlmsg_len
  return datagram.subarray(length).every((octet) => octet === 0) ? datagram.slice(0, length) : datagram
}
