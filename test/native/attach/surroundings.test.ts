// vf-attach where what is around a call is not as it should be: strange files in the place of records, names that no record can
// have, a namespace of another kind, entries of CNI_PATH that are no folders, a stdout that takes nothing, state folders
// without room. Right codes, no waiting, and DEL does what is left to do.
// needs: veth
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { errorOf, pluginPath } from '../../../hack/lab/bed/plugins.ts'
import { BED_FOLDER, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const folder = '/var/lib/cni/vf-flower/attach'

let bed: NativeBed
const plain = (more: Record<string, unknown> = {}) => onNic(bed.nic(), { ipam: localIpam(), ...more })
const recordPath = (container: string) => `${folder}/netdev:${bed.nic().netdev} ${container}@net1.json`
const leases = () => bed.lab.must('ls /var/lib/cni/networks/lab-net')

beforeAll(async () => {
  bed = await makeNativeBed(1, ['pod-one', 'pod-two'])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bed.rebuild()
})

describe('a result that nobody takes', () => {
  test.each(['>/dev/full', '| { exec <&-; while [ ! -e "$DONE" ]; do sleep 0.05; done; }'])(
    'undoes the ADD: stdout %s',
    async (stdout) => {
      const config = { cniVersion: '1.0.0', name: 'lab-net', ...plain({ mtu: 1400 }) }
      const done = `${BED_FOLDER}/done`
      const line = `exec 3>&1; { "$0"; echo "code $?" >&3; touch "$DONE"; } ${stdout}; rm -f "$DONE"`
      const env = {
        ...{
          CNI_COMMAND: 'ADD',
          CNI_CONTAINERID: 'pod-one',
          CNI_NETNS: '/run/netns/pod-one',
          CNI_IFNAME: 'net1',
        },
        ...{ CNI_PATH: pluginPath.join(':'), PATH: '/usr/bin:/bin', DONE: done },
      }
      const argv = ['sh', '-c', line, `${pluginPath[0]}/vf-attach`]
      const outcome = await bed.lab.exec(argv, { env, cleanEnv: true, stdin: JSON.stringify(config) })
      expect(outcome.stdout).toBe('code 1\n')
      expect(outcome.stderr).toMatch(/error writing to stdout: (ENOSPC|EPIPE).*; the ADD is undone/)
      expect(await leases()).not.toMatch(/^10\./m)
      expect(await bed.lab.must(`ls ${folder}`)).toBe('')
      await bed.expectUnchanged()
    },
  )
})

describe('a namespace of another kind', () => {
  const netns = '/proc/self/ns/mnt'

  test('is refused by ADD and CHECK with code 8, the variable and the path', async () => {
    for (const command of ['ADD', 'CHECK']) {
      const { code, msg } = await bed.refused(command, plain(), 'pod-one', { netns })
      expect(msg).toContain('Cannot open CNI_NETNS "/proc/self/ns/mnt": openNetns: EINVAL')
      expect(code).toBe(8)
    }
    await bed.expectUnchanged()
  })

  test('keeps no DEL from bringing the interface home by the path of the ADD', async () => {
    await bed.add(plain(), 'pod-one')
    await bed.del(plain(), 'pod-one', { netns })
    await bed.expectUnchanged()
  })
})

describe('names that no record can have', () => {
  const long = { env: { CNI_CONTAINERID: 'c'.repeat(230) } }

  test('are refused by ADD with the variable before it changes anything, and DEL succeeds', async () => {
    const { code, msg } = await bed.refused('ADD', plain(), 'pod-one', long)
    expect(msg).toMatch(/^Cannot use CNI_CONTAINERID "c{200}" ... of 230 characters: must have at most \d+ /)
    expect(code).toBe(4)
    await bed.expectUnchanged()
    await bed.del(plain(), 'pod-one', long)
    await bed.expectUnchanged()
  })
})

describe('in the place of a record', () => {
  const strangers = [
    ['a FIFO', 'mkfifo', 'rm', 'is no regular file'],
    ['a folder', 'mkdir', 'rmdir', 'is no regular file'],
    ['a link to a file without an end', 'ln -s /dev/zero', 'rm', 'it is larger than any record'],
    ['null', 'printf null | install -m 600 /dev/stdin', 'rm', 'the whole must be of type object'],
  ] as const

  test.each(strangers)(
    '%s: another pod gets the interface, and DEL of its own succeeds',
    async (_, make, remove, words) => {
      const record = recordPath('old')
      await bed.lab.must(`mkdir -p ${folder}; ${make} '${record}'`)
      const { code, stderr } = await bed.call('ADD', plain(), 'pod-one')
      expect(stderr).toContain(words)
      expect(code).toBe(0)
      await bed.del(plain(), 'pod-one')
      await bed.lab.must(`mv '${record}.broken' '${record}'`)
      const del = await bed.call('DEL', plain(), 'old', { netns: '' })
      expect(del).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining(words) })
      await bed.lab.must(`${remove} '${record}.broken'`)
      await bed.expectUnchanged()
    },
  )

  test.each([
    ['a PCI address that leads elsewhere', '.journal.device.pci = "../../.."', 'journal.device.pci'],
    ['a name with a NUL', '.journal.original.link.name = "a\\u0000b"', 'journal.original.link.name'],
    ['a MAC address that is none', '.journal.original.link.mac = "x"', 'journal.original.link.mac'],
    ['an MTU below zero', '.journal.original.link.mtu = -1', 'journal.original.link.mtu'],
    ['a pattern for a name', '.journal.original.link.name = "a%d"', 'journal.original.link.name'],
    ['settings that are no bytes', '.journal.settings.v4 = "zz"', 'journal.settings.v4'],
    ['another device than its file', '.journal.device.id = "../../x"', 'journal.device.id'],
    ['a namespace that is none', '.owner.netnsCookie = "x"', 'owner.netnsCookie'],
  ])('%s keeps no DEL from going on, which names the field', async (_, change, field) => {
    await bed.add(plain(), 'pod-one')
    const record = await bed.recordOf('pod-one')
    const text = await bed.lab.readFile(record)
    const keys = change.split(' = ')
    const journal = JSON.parse(text) as Record<string, unknown>
    assign(journal, (keys[0] ?? '').split('.').slice(1), JSON.parse(keys[1] ?? 'null'))
    await bed.lab.writeFile(record, JSON.stringify(journal), 0o600)
    const { code, stdout, stderr } = await bed.call('DEL', plain(), 'pod-one')
    expect(stderr).toContain(`Cannot read record "${record}": ${field} `)
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    // Nobody knows any more whose interface that was; with its record as it was all is as before.
    await bed.lab.must(`rm '${record}.broken'`)
    await bed.lab.writeFile(record, text, 0o600)
    await bed.del(plain(), 'pod-one')
    await bed.expectUnchanged()
  })
})

test('entries of CNI_PATH that are no folders hide nothing behind them', async () => {
  const path = [
    ...['/etc/hostname', `${BED_FOLDER}/loop`, `/${'x'.repeat(300)}`, '/nowhere'],
    ...pluginPath,
  ].join(':')
  await bed.lab.must(`ln -sfn loop ${BED_FOLDER}/loop`)
  const more = { env: { CNI_PATH: path } }
  await bed.add(plain(), 'pod-one', more)
  await bed.del(plain(), 'pod-one', more)
  expect(await leases()).not.toMatch(/^10\./m)
  await bed.expectUnchanged()
})

describe('a state folder', () => {
  const disk = `${BED_FOLDER}/disk`

  test('that is full: STATUS is 50 and names the file, as ADD does', async () => {
    const config = onNic(bed.nic(), { stateDir: `${disk}/state` })
    const policy = '/etc/vf-flower/policy.json'
    await bed.lab.writeFile(policy, JSON.stringify({ stateDirs: [disk] }), 0o600)
    await bed.lab.must(`mkdir -p ${disk}; mount -t tmpfs -o size=64k tmpfs ${disk}; mkdir -p ${disk}/state/attach
      dd if=/dev/zero of=${disk}/full bs=4k 2>/dev/null; true`)
    try {
      const status = () => bed.call('STATUS', config, 'pod-one', { cniVersion: '1.1.0' })
      const full = await status()
      expect(full.code).toBe(1)
      const { code, msg } = errorOf(full)
      expect(msg).toMatch(
        /^Cannot serve an ADD: ENOSPC: .*'\/tmp\/attach-bed\/disk\/state\/attach\/\.probe\.\d+\.tmp'/,
      )
      expect(code).toBe(50)
      const add = await bed.refused('ADD', config, 'pod-one')
      expect(add).toMatchObject({ code: 5, msg: expect.stringContaining(`'${disk}/state/attach/netdev:`) })
      await bed.lab.must(`rm ${disk}/full`)
      expect(await status()).toMatchObject({ code: 0, stdout: '' })
      expect(await bed.lab.must(`ls -A ${disk}/state/attach`)).toBe('')
    } finally {
      await bed.lab.must(`umount ${disk}; rmdir ${disk}; rm ${policy}`)
    }
  })

  test.each([
    ['with a NUL', '/run/a\0b'],
    ['too long', `/${'x'.repeat(300)}`],
    ['below a file', '/etc/hostname/state'],
    ['in a loop of links', `${BED_FOLDER}/loop/state`],
  ])('that is %s keeps no DEL from giving the address back', async (_, stateDir) => {
    await bed.lab.must(`ln -sfn loop ${BED_FOLDER}/loop`)
    expect(await bed.call('DEL', plain({ stateDir }), 'pod-one')).toMatchObject({ code: 0, stdout: '' })
    await bed.expectUnchanged()
  })
})

describe('an IPAM plugin that', () => {
  const odd = `${BED_FOLDER}/odd`
  const plugin = (answer: string, code = 0) =>
    bed.lab.writeFile(
      odd,
      `#!/bin/sh\ncat >/dev/null\necho $CNI_COMMAND >>${odd}.log\n[ $CNI_COMMAND = DEL ] || { echo '${answer}'; exit ${code}; }\n`,
      0o755,
    )

  test.each([
    [
      'has a route that the kernel has no room for',
      '"mtu":-1',
      'routes[0].mtu -1: must be an integer from 0 to 4294967295',
    ],
    ['has a scope that is none', '"scope":256', 'routes[0].scope 256: must be an integer from 0 to 255'],
  ])('%s is code 6, and the address is given back', async (_, field, words) => {
    await plugin(
      `{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.9/24"}],"routes":[{"dst":"10.9.0.0/16",${field}}]}`,
    )
    const { code, msg } = await bed.refused('ADD', onNic(bed.nic(), { ipam: { type: 'odd' } }), 'pod-one')
    expect(msg).toContain(`Cannot use the IPAM plugin's result.${words}`)
    expect(code).toBe(6)
    expect(await bed.lab.must(`cat ${odd}.log; rm ${odd}.log`)).toBe('ADD\nDEL\n')
    await bed.expectUnchanged()
  })

  test('fails with a code that is none is code 105 with its words', async () => {
    await plugin('{"code":-1.5,"msg":"no room"}', 1)
    const error = await bed.refused('ADD', onNic(bed.nic(), { ipam: { type: 'odd' } }), 'pod-one')
    expect(error).toMatchObject({ code: 105, msg: 'IPAM plugin "odd": no room' })
    expect(error.details).toContain('its code is -1.5')
    await bed.lab.must(`rm ${odd}.log`)
    await bed.expectUnchanged()
  })
})

/** Sets one member, deep down. */
function assign(
  object: Record<string, unknown>,
  [key = '', ...rest]: readonly string[],
  value: unknown,
): void {
  if (rest.length === 0) object[key] = value
  else assign(object[key] as Record<string, unknown>, rest, value)
}
