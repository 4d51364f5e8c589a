// docs/troubleshooting.md: each message of its tables is one that the sources print, and each error code that they return has its section, no other
// one does.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { code } from '../../src/cni/error.ts'

const top = join(import.meta.dirname, '../..')

const page = readFileSync(join(top, 'docs/troubleshooting.md'), 'utf8')
const sources = ['src', 'device-plugin']
  .flatMap((folder) =>
    readdirSync(join(top, folder), { recursive: true, encoding: 'utf8' }).map((file) =>
      join(top, folder, file),
    ),
  )
  .filter((file) => /\.(ts|c|h)$/.test(file))
  // A C string may stand on two lines.
  .map((file) => readFileSync(file, 'utf8').replace(/"\s*\n\s*"/g, ''))
  .join('\n')
  .replaceAll("\\'", "'")

/** Messages of others, of libcni, kubelet, containerd and API servers, and the kernel's own words. */
const others = [
  'failed to find plugin "vf-attach" in path',
  'ImagePullBackOff',
  'Insufficient example.com/vf_a',
  'path "/" is mounted on "/" but it is not a shared or slave mount',
  ...['violates PodSecurity', 'UnexpectedAdmissionError', 'no healthy devices present'],
  'EOPNOTSUPP',
  // The entry point of the image makes them of parts: test/native/agent/enter.test.ts has the whole sentences.
  'Cannot open /proc/1/ns/mnt: EACCES',
  'Cannot enter the mount namespace of process 1',
  'Cannot execute /var/lib/vf-flower/installed/vf-agent: ENOENT',
  'ENOSPC',
  'EROFS',
]

/** The words in backticks in the first column of tables that have messages. */
const messages = page
  .split(/^### /m)
  .flatMap((section) =>
    /^\| (message|words|reason|what you see) \|/m.test(section)
      ? [...section.matchAll(/^\| ([^|]*) \|/gm)].flatMap(([, cell = '']) =>
          [...cell.matchAll(/`([^`]+)`/g)].map(([, words = '']) => words),
        )
      : [],
  )
const programs = /^(vfctl|localhost|nft|VEB|sysctl|tcpdump|vf-agent$|CNI_)/

test('each message is one of the sources', () => {
  const own = messages.filter((words) => !others.includes(words) && !programs.test(words))
  expect(own.length).toBeGreaterThan(50)
  const missing = own.flatMap((words) =>
    words
      .split('...')
      .map((part) => part.replace(/^note: |["/]?etc\/|^[":;,) ]+|[":;,( ]+$/g, ''))
      .filter((part) => part.length > 3 && !sources.includes(part))
      .map((part) => `${words}: ${part}`),
  )
  expect(missing).toEqual([])
})

test('each error code has a section, in their order', () => {
  const sections = [...page.matchAll(/^### Code (\d+): /gm)].map(([, number = '']) => Number(number))
  expect(sections).toEqual(Object.values(code).toSorted((a, b) => a - b))
})

test('every code that the sources return is one of the table of codes', () => {
  const names = [...sources.matchAll(/\bcode\.(\w+)/g)].map(([, name = '']) => name)
  const returned = Object.keys(code).filter((name) => names.includes(name))
  // An IPAM plugin alone says them, or nobody.
  expect(Object.keys(code).filter((name) => !returned.includes(name))).toEqual([
    'unknownContainer',
    'limitedConnectivity',
  ])
  // Numbers that are written down: the shim's, which has no table.
  const numbers = [...sources.matchAll(/\\"code\\":(\d+)/g)].map(([, number = '']) => Number(number))
  expect(numbers).toEqual([code.pluginNotAvailable])
})
