// Two nodes of namespaces do not see each other, and nothing outside of one changes, though it runs on the machine's own
// kernel. test/native/bed/lab.test.ts shows that it runs commands as the virtual machine does.
// needs: namespaces, veth
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { hostname, release } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { bootNode } from '../../../hack/lab/node.ts'

/** In the names of all that is made here: nobody else on the machine has it. */
const unique = `node-test-${process.pid}`
const LONG = { timeout: 30_000 }
let node: Lab
let other: Lab

beforeAll(async () => {
  ;[node, other] = await Promise.all([bootNode(), bootNode()])
})
afterAll(async () => {
  await node?.close()
  await other?.close()
})

describe('commands in the node', () => {
  test("run as root in the checkout, on the machine's own kernel", async () => {
    const { code, stdout } = await node.exec(['sh', '-c', 'id -u; pwd; uname -r; cat package.json | head -2'])
    expect(code).toBe(0)
    const [uid, folder, kernel, ...rest] = stdout.trimEnd().split('\n')
    expect([uid, folder, kernel, node.kernel]).toEqual(['0', process.cwd(), release(), release()])
    expect(rest.join()).toContain('"name": "vf-flower"')
  })

  test('take bytes on standard input and give them back unchanged', async () => {
    const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7) & 0xff)
    const result = await node.exec(['cat'], { stdin: bytes })
    expect(Buffer.compare(result.stdoutBytes, bytes)).toBe(0)
    expect((await node.exec(['wc', '-c'])).stdout).toBe('0\n')
  })
})

test('files are written with their mode and read back, without reaching the outside', async () => {
  const path = `/var/lib/${unique}/deep/file`
  await node.writeFile(path, 'größer\n', 0o600)
  expect(await node.readFile(path)).toBe('größer\n')
  expect(await node.must(`stat -c %a ${path}`)).toBe('600\n')
  expect(existsSync(`/var/lib/${unique}`)).toBe(false)
  await node.must(`rm -r /var/lib/${unique}`)
  await expect(node.readFile(path)).rejects.toThrow(/ENOENT/)
})

test('two nodes do not see each other', async () => {
  const paths = ['/run/here', '/var/lib/cni/here', '/usr/here', '/tmp/here', '/dev/shm/here']
  const sleeper = await node.spawn(['sleep', '986'])
  await node.must(`ip link add here type veth peer name there; ip netns add here; hostname here
    mkdir -p /var/lib/cni; touch ${paths.join(' ')}`)
  const look = `ls -d ${paths.join(' ')} /sys/class/net/here /run/netns/here; hostname; pgrep -x sleep; readlink /proc/self/ns/net`
  const [mine, theirs] = await Promise.all([node.sh(look), other.sh(look)])
  const [net, ...seen] = mine.stdout.trim().split('\n').reverse()
  expect(seen).toHaveLength(paths.length + 2 + 2)
  expect(seen).toEqual(expect.arrayContaining([...paths, '/sys/class/net/here', '/run/netns/here', 'here']))
  const [otherNet, ...none] = theirs.stdout.trim().split('\n').reverse()
  expect(none).toEqual(['node'])
  expect(otherNet).not.toBe(net)
  sleeper.kill()
  await sleeper.wait()
  await node.must(`ip link del here; ip netns del here; hostname node; rm ${paths.join(' ')}`)
})

test('nothing outside of a node changes', async () => {
  const keys = ['ipv4/ip_forward', 'ipv4/conf/all/rp_filter', 'ipv6/conf/default/disable_ipv6']
  const folders = ['/usr', '/run', '/run/netns', '/etc', '/var/lib', '/var/lib/cni', '/etc/cni']
  const outside = () => ({
    name: hostname(),
    links: readdirSync('/sys/class/net'),
    sysctls: keys.map((key) => readFileSync(`/proc/sys/net/${key}`, 'utf8')),
    files: folders.filter((folder) => existsSync(`${folder}/${unique}`)),
    mounts: mountsNamed(unique),
  })
  const before = outside()
  const script = `
    hostname ${unique}; ip link add ${unique.slice(-15)} type veth peer name far-end
    for key in ${keys.join(' ')}; do read -r old </proc/sys/net/$key; echo $((1 - old)) >/proc/sys/net/$key; done
    for folder in ${folders.join(' ')}; do mkdir -p $folder/${unique}; done
    mount -t tmpfs tmpfs /usr/${unique}
    hostname; ls /sys/class/net; cd /proc/sys/net; cat ${keys.join(' ')}
    for folder in ${folders.join(' ')}; do ls -d $folder/${unique}; done; grep -c ${unique} /proc/self/mountinfo`
  const inside = (await other.must(script)).trim().split('\n')
  const old = before.sysctls.map((value) => value.trim())
  // Namespaces begin with what the machine has by default, so that one value at least is not the machine's now.
  expect(inside.slice(-1 - folders.length - keys.length, -1 - folders.length)).not.toEqual(old)
  expect(inside).toEqual([
    unique,
    ...[unique.slice(-15), 'far-end', 'lo'].sort(),
    ...keys.map(() => expect.stringMatching(/^[01]$/)),
    ...folders.map((folder) => `${folder}/${unique}`),
    '1',
  ])
  expect(outside()).toEqual(before)
  expect(before).toMatchObject({ files: [], mounts: [] })
  // A node's root, /proc, /sys and state folders are mounts that only itself has.
  expect(mountsNamed('vf-lab-')).toEqual([])
})

function mountsNamed(word: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(word))
}

test('the folders of plugins and runtimes are new, in memory and empty: state of the machine does not leak in', async () => {
  const fresh = await bootNode()
  try {
    for (const folder of ['/run', '/var/lib/cni', '/etc/cni', '/etc/vf-flower'])
      expect(await fresh.must(`stat -f -c '${folder} %T' ${folder}`)).toBe(`${folder} tmpfs\n`)
    expect(await fresh.must('find /run /var/lib/cni /etc/cni /etc/vf-flower -type f')).toBe('')
  } finally {
    await fresh.close()
  }
})

test("/proc/sys without net and /sys without interfaces are read-only: they are not the node's own", async () => {
  for (const path of ['/proc/sys/kernel/panic', '/proc/sys/vm/drop_caches', '/proc/sys/fs/file-max']) {
    const { code, stderr } = await node.sh(`echo 1 >${path}`)
    expect({ path, code, stderr }).toEqual({
      ...{ path, code: expect.any(Number), stderr: expect.stringMatching(/Read-only file system/) },
    })
  }
  expect((await node.sh('mkdir /sys/kernel/none')).stderr).toMatch(/Read-only file system/)
  await node.must(`set -e
    ip link add own type veth peer name far
    echo 1 >/proc/sys/net/ipv4/conf/own/forwarding
    echo 1400 >/sys/class/net/own/mtu`)
  expect(await node.must('cat /sys/class/net/own/mtu; ip link del own')).toBe('1400\n')
})

test('a pod has its own /proc/sys/net and /sys', async () => {
  await newPod(node, 'pod')
  await node.must(`set -e
    echo 0 >/proc/sys/net/ipv4/ip_forward
    ip netns exec pod sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    ip -n pod link add inside type veth peer name far`)
  const look = 'cat /proc/sys/net/ipv4/ip_forward; ls /sys/class/net /proc/sys/net/ipv4/conf'
  const shown = (names: string[], forwards: number) =>
    [forwards, '/proc/sys/net/ipv4/conf:', ...['all', 'default', ...names].sort(), '', '/sys/class/net:']
      .concat([...names].sort())
      .join('\n')
  expect((await node.must(`ip netns exec pod sh -c '${look}'`)).trim()).toBe(
    shown(['far', 'inside', 'lo'], 1),
  )
  expect((await node.must(look)).trim()).toBe(shown(['lo'], 0))
  await deletePod(node, 'pod')
})

test('an interface comes home from a pod by the number of process 1, which is the first of the node', async () => {
  await newPod(node, 'pod')
  await node.must('ip link add away type veth peer name stays; ip link set away netns pod')
  expect(await node.must('ip -br link show dev stays; cat /proc/1/comm')).toMatch(/^stays@.*\nsh\n$/)
  expect(await node.must('readlink /proc/1/ns/net')).toBe(await node.must('readlink /proc/self/ns/net'))
  expect((await node.sh('ip link show dev away')).code).toBe(1)
  await node.must('ip -n pod link set away netns 1')
  expect(await node.must('ip -br link show dev away')).toMatch(/^away@stays /)
  await node.must('ip link del away')
  await deletePod(node, 'pod')
})

test('the end of a node is the end of all its processes', async () => {
  const own = await bootNode()
  // One seen by the agent, one that has left session and parent behind.
  const seconds = `9${process.pid}`
  const child = await own.spawn(['sleep', `${seconds}1`])
  await own.must(`setsid -f sleep ${seconds}2 <&- >&- 2>&-`)
  const sleepers = () => commandLines().filter((line) => line.startsWith(`sleep ${seconds}`))
  await expect.poll(() => sleepers().sort(), LONG).toEqual([`sleep ${seconds}1 `, `sleep ${seconds}2 `])
  await own.close()
  await expect(child.wait()).rejects.toThrow(/the lab was closed/)
  await expect.poll(sleepers, LONG).toEqual([])
  await expect(own.sh('true')).rejects.toThrow()
})

/** Of all processes of the machine, words separated by a space. */
function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      } catch {
        // It has ended meanwhile.
        return ''
      }
    })
}
