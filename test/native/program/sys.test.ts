// The boundary to libc, as compiled: namespaces, locks, files and datagrams, judged by stat, flock, strace and ip.
// needs: ifb
import { resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { argvOf, ask, drive, json, probe, programOf, tryDrive } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'

let vm: Lab
let pod: string

beforeAll(async () => {
  vm = await lab()
  pod = await newPod(vm, 'sys')
  await vm.load('ifb numifbs=0')
  await vm.must('mkdir -p /run/sys')
})
afterAll(async () => {
  await deletePod(vm, 'sys')
  await vm.must('! mountpoint -q /run/sys/small || umount /run/sys/small; rm -rf /run/sys')
})

describe('a visit to a network namespace', () => {
  test('is inside and comes home, also from an error', async () => {
    const home = (await vm.must('readlink /proc/self/ns/net')).trim()
    const there = (await vm.must('ip netns exec sys readlink /proc/self/ns/net')).trim()
    const id = (await vm.must(`stat -L -c %d:%i ${pod}`)).trim()
    const [returned, failed, own] = await drive(vm, [
      probe('visit', pod, false),
      probe('visit', pod, true),
      probe('visit', '/proc/self/ns/net', false),
    ])
    expect(returned).toEqual({ before: home, inside: there, after: home, id, own: true, thrown: '' })
    expect(failed).toEqual({
      before: home,
      inside: there,
      after: home,
      id,
      own: true,
      thrown: 'the visit failed',
    })
    expect(own).toMatchObject({ before: home, inside: home, after: home })
    expect(there).not.toBe(home)
  })

  test('of a path that is no namespace changes nothing and says why', async () => {
    await vm.must('echo text >/run/sys/file; mkfifo /run/sys/fifo')
    const mount = '/proc/self/ns/mnt'
    const paths = ['file', 'fifo', '.', mount, 'missing', 'file/below'].map((name) =>
      resolve('/run/sys', name),
    )
    const results = await tryDrive(
      vm,
      paths.map((path) => probe('visit', path, false)),
    )
    expect(results.map(({ value, error }) => value ?? error.message)).toEqual([
      'openNetns: EINVAL: "/run/sys/file" is not a network namespace',
      'openNetns: EINVAL: "/run/sys/fifo" is not a network namespace',
      'openNetns: EINVAL: "/run/sys" is not a network namespace',
      'openNetns: EINVAL: "/proc/self/ns/mnt" is not a network namespace',
      expect.stringMatching(/^ENOENT: .*missing/),
      expect.stringMatching(/^ENOTDIR: .*file\/below/),
    ])
  })

  test('leaves no descriptor open that would keep the namespace alive', async () => {
    // The first visit opens the way home, which is kept.
    const [, before, , after] = await drive(vm, [
      probe('openAndClose', pod, 1),
      probe('openDescriptors'),
      probe('openAndClose', pod, 20),
      probe('openDescriptors'),
    ])
    expect(after).toEqual(before)
    const [held] = await drive(vm, [probe('openDescriptors')], { netns: pod })
    expect(held.filter((to) => to === pod)).toHaveLength(1)
    expect(before).not.toContain(pod)
  })
})

describe('a lock', () => {
  const path = '/run/sys/lock/device'

  // Each begins without a lock, so that each can run alone.
  beforeEach(() => vm.must('rm -rf /run/sys/lock'))

  test('is the one that flock(1) takes, and private to root', async () => {
    const [inside] = await drive(vm, [probe('lockAndRun', path, 0, ['flock', '-n', path, 'true'])])
    expect(inside).toBe(1)
    expect((await vm.sh(`flock -n ${path} true`)).code).toBe(0)
    expect(await vm.must(`stat -c %a /run/sys/lock ${path}`)).toBe('700\n600\n')
  })

  test('is waited for, but not for ever', async () => {
    await vm.must('mkdir /run/sys/lock')
    const holder = await vm.spawn(['flock', path, 'sh', '-c', 'echo held; cat'])
    await expect.poll(() => holder.stdout(), { timeout: 30_000 }).toBe('held\n')
    const [late] = await tryDrive(vm, [probe('lockAndRun', path, 100, ['true'])])
    expect(late.error).toMatchObject({
      name: 'LockTimeout',
      message: `Cannot lock "${path}" within 100 ms: process ${holder.pid} ("flock") holds it`,
    })
    const waiting = await vm.spawn(argvOf(), {
      stdin: programOf([probe('lockAndRun', path, 90_000, ['true'])]),
    })
    const opened = () => vm.sh(`ls -l /proc/${waiting.pid}/fd | grep -c ${path}`)
    await expect.poll(async () => (await opened()).stdout, { timeout: 30_000 }).toBe('1\n')
    expect(waiting.stdout()).toBe('')
    holder.end()
    expect((await waiting.wait()).stdout).toBe('[{"value":0}]')
  })

  test('ends with its process, and does not live on in a child', async () => {
    const killed = await vm.exec(argvOf(), {
      stdin: programOf([probe('lockAndRun', path, 0, ['sh', '-c', 'kill -9 $PPID'])]),
    })
    expect(killed).toMatchObject({ signal: 'SIGKILL', stdout: '' })
    expect((await vm.sh(`flock -n ${path} true`)).code).toBe(0)
    const orphan = 'setsid sleep 1000 <&- >&- 2>&- & echo $! >/run/sys/orphan'
    await drive(vm, [probe('lockAndRun', path, 0, ['sh', '-c', orphan])])
    expect((await vm.sh(`flock -n ${path} true`)).code).toBe(0)
    await vm.must('kill $(cat /run/sys/orphan)')
  })
})

describe('a file that is replaced', () => {
  const path = '/run/sys/files/record'

  // The call at which the process is killed: before it is carried out.
  test.each([
    ['fsync', 1, 'old'],
    ['rename', 1, 'old'],
    ['fsync', 2, 'new'],
  ])('has the whole old or the whole new text after SIGKILL at %s number %i', async (call, number, text) => {
    await vm.writeFile(path, 'old')
    const under = [
      'strace',
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      `inject=${call}:signal=KILL:when=${number}`,
    ]
    const program = programOf([probe('replaceFile', path, 'new')])
    const killed = await vm.exec(argvOf({ under: [...under, '-e', `trace=${call}`] }), { stdin: program })
    expect(killed).toMatchObject({ code: 137, stdout: '' })
    expect(await vm.readFile(path)).toBe(text)
    await drive(vm, [probe('replaceFile', path, 'third')])
    expect(await vm.readFile(path)).toBe('third')
  })

  test('is private, and so are the folders made for it', async () => {
    const deep = '/run/sys/one/two/record'
    const text = 'ä'.repeat(100_000)
    const [, seen] = await drive(vm, [probe('replaceFile', deep, text), probe('look', deep)])
    expect(await vm.must(`stat -c '%a %s' /run/sys/one /run/sys/one/two ${deep}`)).toMatch(
      /^700 \d+\n700 \d+\n600 200000\n$/,
    )
    expect(seen.text).toBe(text)
    expect(await vm.must('ls -A /run/sys/one/two')).toBe('record\n')
  })

  test('keeps the old text, and nothing else, when the new one does not fit', async () => {
    await vm.must('mkdir -p /run/sys/small && mount -t tmpfs -o size=8k tmpfs /run/sys/small')
    const small = '/run/sys/small/record'
    const [first, full] = await tryDrive(vm, [
      probe('replaceFile', small, 'old'),
      probe('replaceFile', small, 'n'.repeat(8_000)),
    ])
    expect(first.error).toBeUndefined()
    expect(full.error?.code).toBe('ENOSPC')
    expect(await vm.must('cd /run/sys/small && ls -A && cat record')).toBe('record\nold')
    await vm.must('umount /run/sys/small')
  })

  test('that is absent is told from one that cannot be read', async () => {
    await vm.must('cd /run/sys && ln -sf /some/where/last link')
    const [absent, below, folder, link] = await drive(vm, [
      probe('look', '/run/sys/missing'),
      probe('look', `${path}/below`),
      probe('look', '/run/sys'),
      probe('look', '/run/sys/link'),
    ])
    expect(absent).toEqual({ folder: [] })
    expect(below).toEqual({ folder: [] })
    expect(folder.text).toMatch(/EISDIR/)
    expect(folder.folder).toContain('files')
    expect(link).toMatchObject({ link: 'last' })
  })
})

describe('datagrams of the kernel', () => {
  test('are the only ones that arrive, no answer that another program has made up', async () => {
    const [{ forged, answered }] = await drive(vm, [probe('forgeAnswer')])
    expect({ forged, answered }).toEqual({ forged: 'sendto: ECONNREFUSED', answered: 'went well' })
  })

  test('are read whole when one is larger than the first buffer', async () => {
    // Alternative names are the cheapest way to a link message of more than 64 KiB: 496 are all that one device takes.
    const script = `
      set -e
      ip -n sys link add big type ifb
      seq -f '%03g' 496 | sed "s/.*/link property add dev big altname &$(printf 'x%.0s' $(seq 124))/" | ip -n sys -b -`
    await vm.must(script)
    const [seen] = await json<{ altnames: string[] }>(vm, 'ip -n sys -j link show dev big')
    const [link, all] = await drive(vm, [ask('link', 'pod', 'big'), ask('links', 'pod')], { netns: pod })
    expect(seen?.altnames).toHaveLength(496)
    expect(link?.altnames).toEqual(seen?.altnames)
    expect(all.find(({ name }) => name === 'big')?.altnames).toEqual(seen?.altnames)
    await vm.must('ip -n sys link del big')
  })

  test('are all read when a dump has thousands of entries', async () => {
    await vm.must(`
      ip -n sys link add many type ifb
      for net in 1 2 3 4 5 6 7 8; do seq -f "address add 10.77.$net.%g/24 dev many" 250; done | ip -n sys -b -`)
    const [{ ifindex, addr_info }] = (await json(vm, 'ip -n sys -j address show dev many')) as [
      { ifindex: number; addr_info: { local: string; prefixlen: number }[] },
    ]
    const [addresses] = await drive(vm, [ask('addresses', 'pod', ifindex)], { netns: pod })
    expect(addr_info).toHaveLength(2_000)
    expect(addresses.map(({ address }) => address)).toEqual(
      addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    )
    await vm.must('ip -n sys link del many')
  })
})
