// The executable installs itself on a node: into the CNI folder that containerd names, with the real plugins of a distribution beside it. The
// plugins work from there, and uninstall leaves every file and folder as it was, also after an installer that was killed, or that ran out
// of space.
// needs: veth, nft
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { attachment } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { cniRuntime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import type { AgentStatus } from '../../../src/agent/status.ts'
import { manifestFile } from '../../../src/install/files/manifest.ts'
import {
  builds,
  CNI,
  installNode,
  lookAtFiles,
  mustInstall,
  outputOf,
  runInstaller,
  standInForSystemd,
  systemctlLog,
  withStandIn,
} from '../../support/install-node.ts'

const [release, other] = builds
let lab: Lab
let before: readonly string[]
beforeAll(async () => {
  ;({ lab, before } = await installNode())
})
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await runInstaller(lab, release.program, 'uninstall', '--force')
})
afterAll(() => lab?.must('rm -rf /run/systemd /run/stand-in; ip link del inst0 2>/dev/null; true'))

const expectAsBefore = async () =>
  expect((await lookAtFiles(lab)).filter((line) => !before.includes(line))).toEqual([])
const uninstall = async (program: string = release.program) => {
  await mustInstall(lab, program, 'uninstall')
  await expectAsBefore()
  expect(await lookAtFiles(lab)).toEqual(before)
}

/** ADD and DEL of an end of a veth by the installed plugins. */
async function expectServed(): Promise<void> {
  const runtime = cniRuntime(lab, [CNI])
  const pod = await newPod(lab, 'inst')
  await outputOf(lab, 'ip link add inst0 type veth peer name inst-peer')
  const list = { cniVersion: '1.0.0', name: 'inst', plugins: [{ type: 'vf-attach', device: 'inst0' }] }
  await runtime.add(list, attachment(pod))
  expect(await outputOf(lab, 'ip -n inst link show dev net1')).toContain('net1')
  await runtime.del(list, attachment(pod))
  expect(await outputOf(lab, 'ip link show dev inst0; ip link del inst0')).toContain('inst0')
  await deletePod(lab, 'inst')
}

describe('install', () => {
  test('serves pods from the folder that containerd names, and goes without a trace', async () => {
    const said = await mustInstall(lab, release.program, 'install')
    expect(said).toContain(`CNI folder ${CNI} (containerd, /etc/containerd/config.toml)`)
    expect(said).toContain('start /usr/local/bin/vf-agent yourself')
    expect(said).toContain('no card with virtual functions')
    await expectServed()
    expect(
      await outputOf(lab, '/usr/local/bin/vfctl --version; vf-agent --version; vf-device-plugin --version'),
    ).toContain(release.id)
    expect(
      await outputOf(lab, `stat -c %F ${CNI}/vf-attach ${CNI}/vf-offload ${CNI}/vf-flower | sort -u`),
    ).toBe('regular file')
    await uninstall('/usr/local/bin/vf-flower')
  })

  test('--dry-run changes nothing', async () => {
    const said = await mustInstall(
      lab,
      release.program,
      'install',
      '--dry-run',
      '--alias',
      'portmap',
      '--network',
      'example',
    )
    expect(said).toContain(`write ${CNI}/vf-attach`)
    expect(said).toContain(`keep the one there as *.vf-flower-original, write ${CNI}/portmap`)
    expect(await lookAtFiles(lab)).toEqual(before)
  })

  test('the portmap of the distribution is put aside for an alias, and comes back', async () => {
    await mustInstall(lab, release.program, 'install', '--alias', 'portmap,host-device')
    const size = async (name: string) => Number(await outputOf(lab, `stat -c %s ${CNI}/${name}`))
    expect(await size('portmap')).toBe(await size('vf-offload'))
    expect(await size('host-device')).toBe(await size('vf-attach'))
    expect(await size('portmap.vf-flower-original')).toBeGreaterThan(1e6)
    expect(JSON.parse(await outputOf(lab, `CNI_COMMAND=VERSION ${CNI}/portmap`))).toMatchObject({
      cniVersion: '1.1.0',
    })
    await uninstall()
  })

  test('into another file system, and a second CNI folder, with an example network', async () => {
    await outputOf(lab, 'mkdir -p /tmp/bin')
    const said = await mustInstall(
      lab,
      release.program,
      'install',
      '--bin-dir',
      '/tmp/bin',
      '--bin-dir',
      CNI,
      '--network',
      'example',
    )
    expect(said).not.toContain('is in no CNI folder')
    expect(
      await outputOf(
        lab,
        `cmp /tmp/bin/vf-flower ${CNI}/vf-flower; cat /etc/cni/net.d/10-vf-flower.conflist`,
      ),
    ).toContain('"vf-offload"')
    await uninstall()
    expect(await outputOf(lab, 'ls -A /tmp/bin; rmdir /tmp/bin')).toBe('')
  })

  test('--root touches nothing else', async () => {
    await outputOf(lab, 'mkdir -p /tmp/image/opt/cni/bin')
    await mustInstall(lab, release.program, 'install', '--root', '/tmp/image')
    expect(await outputOf(lab, '/tmp/image/usr/local/bin/vf-agent --version')).toContain(release.id)
    expect(await lookAtFiles(lab)).toEqual(before)
    await mustInstall(lab, release.program, 'uninstall', '--root', '/tmp/image')
    expect(await outputOf(lab, 'find /tmp/image; rm -r /tmp/image')).toBe(
      '/tmp/image\n/tmp/image/opt\n/tmp/image/opt/cni\n/tmp/image/opt/cni/bin',
    )
  })

  test('a broken config is named, and --bin-dir goes on', async () => {
    await outputOf(lab, 'mkdir -p /etc/crio; echo "[crio" >/etc/crio/crio.conf')
    const { code, stderr } = await runInstaller(lab, release.program, 'install')
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/Cannot use "\/etc\/crio\/crio.conf".*--bin-dir/),
    })
    expect(await mustInstall(lab, release.program, 'install', '--bin-dir', CNI)).toContain(
      'Cannot use "/etc/crio/crio.conf"',
    )
    await outputOf(lab, 'rm -r /etc/crio')
    await uninstall()
  })

  test('nothing to uninstall is said', async () => {
    expect(await mustInstall(lab, release.program, 'uninstall')).toContain(`there is no "${manifestFile}"`)
  })
})

describe('the way back', () => {
  test('is the executable of the former build, by its build id', async () => {
    await mustInstall(lab, release.program, 'install')
    await mustInstall(lab, other.program, 'install')
    expect(await outputOf(lab, 'vf-agent --version')).toContain(other.id)
    await mustInstall(lab, `/usr/local/libexec/vf-flower/vf-flower-${release.id}`, 'install')
    for (const line of ['vf-agent --version', `grep -ao ${release.id} ${CNI}/vf-attach`])
      expect(await outputOf(lab, line)).toContain(release.id)
    await expectServed()
    await uninstall()
  })

  test('a shim finds its own build although another one is vf-flower, and any where its own is gone', async () => {
    await mustInstall(lab, release.program, 'install')
    await outputOf(lab, `cp ${CNI}/vf-attach /tmp/old-shim`)
    await mustInstall(lab, other.program, 'install')
    const program = (pid: string) => `readlink /proc/${pid}/exe`
    const runs = async () => {
      // STATUS of the shim reads its input first, and has become the program then.
      const call = await lab.spawn([`${CNI}/sriov`], {
        env: { CNI_COMMAND: 'STATUS', CNI_PATH: CNI },
      })
      const exe = await outputOf(
        lab,
        `until ${program(String(call.pid))} | grep -q vf-flower; do :; done; ${program(String(call.pid))}`,
      )
      call.kill('SIGKILL')
      await call.wait()
      return exe
    }
    await outputOf(lab, `cp /tmp/old-shim ${CNI}/sriov`)
    expect(await runs()).toBe(`${CNI}/vf-flower-${release.id}`)
    await outputOf(lab, `mv ${CNI}/vf-flower-${release.id} /tmp/gone`)
    expect(await runs()).toBe(`${CNI}/vf-flower`)
    await outputOf(lab, `mv /tmp/gone ${CNI}/vf-flower-${release.id}; rm ${CNI}/sriov /tmp/old-shim`)
    await uninstall()
  })
})

describe('an installer that does not come to its end', () => {
  test.each([
    [`${CNI}/vf-flower-${other.id}`],
    ['/usr/local/bin/vfctl'],
    [`${CNI}/portmap.vf-flower-original`],
  ])(
    'is killed when there is %s: plugins work, the next install completes it, and uninstall takes it away',
    async (path) => {
      await mustInstall(lab, release.program, 'install')
      await outputOf(lab, 'rm -f /usr/local/bin/vfctl')
      await outputOf(
        lab,
        `${other.program} install --alias portmap >/dev/null & until [ -e ${path} ]; do :; done; kill -KILL $!; wait $!; true`,
      )
      await expectServed()
      await mustInstall(lab, other.program, 'install', '--alias', 'portmap')
      await expectServed()
      await uninstall()
    },
  )

  test('gets SIGTERM in the middle, and comes to its end first', async () => {
    const path = `${CNI}/vf-flower-${other.id}`
    await mustInstall(lab, release.program, 'install')
    await outputOf(
      lab,
      // On a busy machine the signal may come when all is done: then it ends the installer.
      `${other.program} install --alias portmap >/dev/null & until [ -e ${path} ]; do :; done
      kill -TERM $! 2>/dev/null; wait $! || [ $? -eq 143 ]`,
    )
    for (const file of ['portmap', 'vf-attach', 'vf-offload'])
      expect(await outputOf(lab, `grep -ao ${other.id} ${CNI}/${file}`)).toContain(other.id)
    await uninstall()
  })

  test('is killed as it uninstalls: the next uninstall completes it', async () => {
    for (const path of [
      `${CNI}/portmap.vf-flower-original`,
      '/usr/local/bin/vfctl',
      `${CNI}/vf-flower-${release.id}`,
    ]) {
      await mustInstall(lab, release.program, 'install', '--alias', 'portmap')
      await outputOf(
        lab,
        `${release.program} uninstall >/dev/null & until [ ! -e ${path} ]; do :; done; kill -KILL $!; wait $!; true`,
      )
      await mustInstall(lab, release.program, 'uninstall')
      expect(await lookAtFiles(lab)).toEqual(before)
    }
  })

  test('has no space: everything is taken back, and the plugins of before serve', async () => {
    // Room for one build, not for two.
    const need = Number(await outputOf(lab, `stat -Lc %s ${release.program}`))
    await outputOf(lab, `mkdir /tmp/cni; mount -t tmpfs -o size=${Math.round(need * 1.5)} tmpfs /tmp/cni`)
    await mustInstall(lab, release.program, 'install', '--bin-dir', '/tmp/cni')
    const look = async () => [...(await lookAtFiles(lab)), await outputOf(lab, 'ls -liA /tmp/cni')]
    const installed = await look()
    const { code, stderr } = await runInstaller(lab, other.program, 'install')
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /Cannot write "\/tmp\/cni\/vf-flower-\w+": ENOSPC.*everything was taken back/,
      ),
    })
    expect(await look()).toEqual(installed)
    await mustInstall(lab, release.program, 'uninstall')
    await outputOf(lab, 'umount /tmp/cni; rmdir /tmp/cni')
    expect(await lookAtFiles(lab)).toEqual(before)
  })

  test('waits for another one', async () => {
    const both = await Promise.all(
      [release, other].map(({ program }) => runInstaller(lab, program, 'install')),
    )
    expect(both.map(({ code }) => code)).toEqual([0, 0])
    const ids = await outputOf(
      lab,
      `vf-agent --version; grep -ao 'vf-flower-[0-9a-f]\\{32\\}' ${CNI}/vf-attach ${CNI}/vf-offload`,
    )
    expect(new Set(ids.match(/[0-9a-f]{32}/g)).size).toBe(1)
    await uninstall()
  })
})

test('with systemd the agent is enabled, restarted by each build, and ended; a refusal is told, and costs no call', async () => {
  await standInForSystemd(lab)
  const env = withStandIn
  const run = async (program: string, ...words: string[]) => {
    const { code, stdout, stderr } = await lab.exec([program, ...words], { env })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return stdout
  }
  const agent = async () => JSON.parse(await outputOf(lab, 'vfctl agent --json')) as AgentStatus
  await outputOf(lab, 'touch /run/stand-in/refuses')
  const refused = await run(release.program, 'install')
  expect(refused).toContain('note: "systemctl enable vf-agent.service" failed: refused. Calls run without')
  await expectServed()
  await outputOf(lab, `rm /run/stand-in/refuses ${systemctlLog}`)
  expect(await run(release.program, 'install')).toContain('systemctl restart vf-agent.service')
  const first = await agent()
  expect(first.build).toBe(release.id)
  expect(await run(other.program, 'install')).toContain(`(build ${other.id}) runs`)
  expect((await agent()).build).toBe(other.id)
  await expectServed()
  const { pid } = await agent()
  await run(other.program, 'install')
  expect((await agent()).pid).toBe(pid)
  await run(other.program, 'uninstall')
  await outputOf(lab, 'while kill -0 $(cat /run/agent.pid) 2>/dev/null; do sleep 0.02; done')
  expect((await outputOf(lab, `cat ${systemctlLog}`)).split('\n')).toEqual([
    ...['daemon-reload', 'enable vf-agent.service', 'restart vf-agent.service'],
    ...['daemon-reload', 'try-restart vf-agent.service'],
    ...['disable --now vf-agent.service', 'daemon-reload'],
  ])
  expect(await lookAtFiles(lab)).toEqual(before)
})
