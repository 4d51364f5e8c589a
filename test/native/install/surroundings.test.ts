// The installer on nodes that are otherwise than most: /usr/local is read-only, one of two CNI folders is, a file can't be replaced, systemd is
// to be left alone, SELinux wants labels, the caller is not root. What can't be done is said before anything changes, with the option that helps.
// needs: veth, nft
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Lab } from '../../../hack/lab/lab.ts'
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
import { startAgent } from '../../support/warm-agent.ts'

const { program, id } = builds[0]
const DIR = '/opt/programs'
let lab: Lab
let before: readonly string[]
beforeAll(async () => {
  ;({ lab, before } = await installNode())
})
beforeEach(() =>
  outputOf(
    lab,
    // A test that has failed may have left mounts.
    `for folder in /usr/local /tmp/cni /sys/fs; do umount $folder 2>/dev/null || true; done
    rm -rf /run/systemd /run/stand-in ${systemctlLog} /tmp/cni; mkdir -p /tmp/cni`,
  ),
)
afterAll(() => lab?.must('rm -rf /run/systemd /run/stand-in /tmp/cni'))

/** The words of an installer that refuses, and has changed nothing. */
async function refusal(...words: readonly string[]): Promise<string> {
  const { code, stderr } = await runInstaller(lab, program, 'install', ...words)
  expect(code).toBe(1)
  expect(await lookAtFiles(lab)).toEqual(before)
  return stderr
}
const isReadOnly = (folder: string) => `mount --bind ${folder} ${folder}; mount -o remount,bind,ro ${folder}`

test('a read-only /usr/local: --libexec-dir is named and helps, and the plugins find their program', async () => {
  await outputOf(lab, isReadOnly('/usr/local'))
  expect(await refusal()).toMatch(
    /nothing was changed:\n {2}"\/usr\/local": it is read-only \(EROFS\); name a folder .* --libexec-dir/,
  )
  const said = await mustInstall(lab, program, 'install', '--libexec-dir', DIR)
  expect(said).toContain(`start ${DIR}/vf-agent yourself`)
  expect(await outputOf(lab, `${DIR}/vf-agent --version; cat /etc/systemd/system/vf-agent.service`)).toMatch(
    new RegExp(`${id}[^]*ExecStart=${DIR}/vf-agent\n`),
  )
  const config = JSON.stringify({ cniVersion: '1.1.0', name: 'x', type: 'vf-attach', device: 'lo' })
  await outputOf(lab, `echo '${config}' | CNI_COMMAND=STATUS CNI_PATH=${CNI} ${CNI}/vf-attach`)
  await mustInstall(lab, `${DIR}/vf-flower`, 'uninstall')
  await outputOf(lab, 'umount /usr/local')
  expect(await lookAtFiles(lab)).toEqual(before)
})

test('of two CNI folders one is read-only', async () => {
  await outputOf(lab, 'mount -t tmpfs -o ro tmpfs /tmp/cni')
  expect(await refusal('--bin-dir', CNI, '--bin-dir', '/tmp/cni')).toMatch(
    /^vf-flower: Cannot install, and nothing was changed:\n {2}"\/tmp\/cni": it is read-only \(EROFS\); .*--bin-dir/,
  )
  const dry = await runInstaller(lab, program, 'install', '--dry-run', '--bin-dir', '/tmp/cni')
  expect(dry).toMatchObject({ code: 1, stderr: expect.stringContaining('read-only') })
  await outputOf(lab, 'umount /tmp/cni')
})

test('a file and a folder that are immutable', async () => {
  await outputOf(
    lab,
    'mount -t tmpfs tmpfs /tmp/cni; echo other >/tmp/cni/vf-attach; chattr +i /tmp/cni/vf-attach',
  )
  expect(await refusal('--bin-dir', '/tmp/cni')).toContain(
    '"/tmp/cni/vf-attach": it is immutable (lsattr shows it, chattr -i ends it) (EPERM)',
  )
  await outputOf(lab, 'chattr -i /tmp/cni/vf-attach; rm /tmp/cni/vf-attach; chattr +i /tmp/cni')
  expect(await refusal('--bin-dir', '/tmp/cni')).toContain('"/tmp/cni": it is immutable')
  await outputOf(lab, 'chattr -i /tmp/cni; umount /tmp/cni')
})

test('a CNI folder from which nothing can be executed', async () => {
  await outputOf(lab, 'mount -t tmpfs -o noexec tmpfs /tmp/cni')
  const said = await mustInstall(lab, program, 'install', '--bin-dir', '/tmp/cni')
  expect(said.match(/note: nothing in .*/g)).toEqual([
    expect.stringContaining('nothing in "/tmp/cni" can be executed: its file system is mounted with noexec'),
  ])
  await mustInstall(lab, program, 'uninstall')
  await outputOf(lab, 'umount /tmp/cni')
  expect(await lookAtFiles(lab)).toEqual(before)
})

test('a CNI folder that is a file, or a link to nothing', async () => {
  await outputOf(lab, 'echo >/tmp/cni/file; ln -s /nowhere /tmp/cni/link')
  expect(await refusal('--bin-dir', '/tmp/cni/file')).toContain(
    'Cannot make the folder "/tmp/cni/file": something else has this name',
  )
  expect(await refusal('--bin-dir', '/tmp/cni/link')).toContain(
    'Cannot use the folder "/tmp/cni/link": it is a symbolic link to "/nowhere"',
  )
  await outputOf(lab, 'rm /tmp/cni/*')
})

test('a list of installed files that can not be written is named before the first change', async () => {
  const list = '/var/lib/vf-flower'
  await outputOf(lab, `mkdir ${list}; ${isReadOnly(list)}`)
  expect(await runInstaller(lab, program, 'install')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(
      `nothing was changed:\n  "${list}": it is read-only (EROFS); the list of installed files must be there too`,
    ),
  })
  await outputOf(lab, `umount ${list}; rmdir ${list}`)
  expect(await lookAtFiles(lab)).toEqual(before)
})

test('a list of installed files that can not be written is named, and the install before goes on', async () => {
  await mustInstall(lab, program, 'install', '--no-service')
  const list = '/var/lib/vf-flower'
  await outputOf(lab, isReadOnly(list))
  const { code, stderr } = await runInstaller(lab, builds[1].program, 'install')
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(
      /Cannot write the list of installed files "\/var\/lib\/vf-flower\/install.json": EROFS.*everything was taken back/,
    ),
  })
  expect(await outputOf(lab, `grep -ao ${id} ${CNI}/vf-attach | head -1`)).toBe(id)
  await outputOf(lab, `umount ${list}`)
  await mustInstall(lab, program, 'uninstall')
  expect(await lookAtFiles(lab)).toEqual(before)
})

test('who is not root may look, and is told', async () => {
  const asOther = (...words: string[]) =>
    lab.exec(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', program, ...words])
  expect(await asOther('install')).toMatchObject({
    code: 1,
    stderr: 'vf-flower: Cannot install as user 65534: must be root (with --root DIR, who may write there)\n',
  })
  expect(await asOther('install', '--dry-run')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('the permission is denied (EACCES)'),
  })
  expect(await lookAtFiles(lab)).toEqual(before)
})

test('without systemd the agent has to be started by hand, which is said until one of this build runs', async () => {
  const start = 'note: no systemd runs here: start /usr/local/bin/vf-agent yourself'
  expect(await mustInstall(lab, program, 'install')).toContain(start)
  expect(await mustInstall(lab, program, 'install')).toContain(start)
  const agent = await startAgent(lab, { program: '/usr/local/bin/vf-agent' })
  expect(await mustInstall(lab, program, 'install')).not.toContain('start ')
  expect(await mustInstall(lab, builds[1].program, 'install')).toContain(start)
  expect(await mustInstall(lab, builds[1].program, 'uninstall')).toContain(
    `note: vf-agent runs still, process ${agent.pid}: kill -TERM ${agent.pid} ends it`,
  )
  expect(await agent.stop()).toBe(0)
  expect(await lookAtFiles(lab)).toEqual(before)
})

test('--no-service: no unit, and systemd is told nothing, not by uninstall either', async () => {
  await standInForSystemd(lab)
  const run = async (...words: string[]) => {
    const { code, stdout, stderr } = await lab.exec([program, ...words], { env: withStandIn })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return stdout
  }
  expect(await run('install', '--no-service')).not.toContain('vf-agent.service')
  expect(await outputOf(lab, 'ls /etc/systemd/system | grep vf-agent || true')).toBe('')
  await run('uninstall')
  expect(await outputOf(lab, `cat ${systemctlLog} 2>/dev/null || true`)).toBe('')
  expect(await lookAtFiles(lab)).toEqual(before)
})

test('where SELinux is active each file is labelled, programs and unit before systemd starts them', async () => {
  await standInForSystemd(lab)
  // Two writers of one log: their order counts. No kernel of a test has a policy.
  await outputOf(
    lab,
    `mount -t tmpfs tmpfs /sys/fs; mkdir -p /sys/fs/selinux; echo 1 >/sys/fs/selinux/enforce
    printf '#!/bin/sh\\nfor path; do echo "label $path" >>${systemctlLog}; [ -e "$path" ] || exit 1; done\\n' >/run/stand-in/restorecon
    chmod 755 /run/stand-in/restorecon`,
  )
  const { code, stdout } = await lab.exec([program, 'install'], { env: withStandIn })
  expect({ code, notes: stdout.match(/note: .*/g) }).toEqual({ code: 0, notes: null })
  const log = (await outputOf(lab, `cat ${systemctlLog}`)).split('\n')
  const start = log.indexOf('restart vf-agent.service')
  const labelled = (path: string) => log.indexOf(`label ${path}`)
  for (const path of [`/usr/local/libexec/vf-flower/vf-flower-${id}`, '/etc/systemd/system/vf-agent.service'])
    expect([labelled(path) >= 0, labelled(path) < start]).toEqual([true, true])
  expect(labelled(`${CNI}/vf-attach`)).toBeGreaterThan(start)
  expect(
    await outputOf(
      lab,
      `stat -c %i ${CNI}/vf-flower /usr/local/libexec/vf-flower/vf-flower-${id} | uniq -u | wc -l`,
    ),
  ).toBe('2')
  await outputOf(lab, 'rm /run/stand-in/restorecon')
  const again = await lab.exec([program, 'install'], { env: withStandIn })
  expect(again.stdout.match(/note: .*/g)).toEqual([
    expect.stringMatching(/SELinux is active, and restorecon .* failed: .*restorecon/),
  ])
  expect((await lab.exec([program, 'uninstall'], { env: withStandIn })).code).toBe(0)
  await outputOf(lab, 'umount /sys/fs; while kill -0 $(cat /run/agent.pid) 2>/dev/null; do sleep 0.02; done')
  expect(await lookAtFiles(lab)).toEqual(before)
})
