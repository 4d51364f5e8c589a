// A worker serves callers or refuses them, here callers in real namespaces, with other roots, mounts, users and capabilities: the kernel tells, and
// every difference that could change an answer is refused by its name. Thick Multus is served.
// needs: namespaces
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DRIVER } from '../../../hack/lab/driver/client.ts'
import type { Lab, LabProcess } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const thick = fileURLToPath(new URL('../../support/multus-thick.pl', import.meta.url))
const FOLDER = '/tmp/same-place'
const SOCKET = `${FOLDER}/socket`

let lab: Lab
let server: LabProcess
beforeAll(async () => {
  lab = await sharedLab()
  await lab.must(`mkdir -p ${FOLDER}/bin ${FOLDER}/root /var/lib/cni /run/netns; chmod 777 ${FOLDER}
    ip netns add pod-one; ip netns add pod-two; ln -s /run/netns/pod-one ${FOLDER}/to-pod`)
  server = await lab.spawn([DRIVER, 'place', 'serve', SOCKET], { timeoutMs: 0 })
  await lab.must(`until [ -S ${SOCKET} ]; do sleep 0.02; done; chmod 666 ${SOCKET}`)
})
afterAll(async () => {
  server.kill('SIGKILL')
  await server.wait()
  await lab.must(`ip netns del pod-one; ip netns del pod-two; rm -rf ${FOLDER}`)
})

const caller = `'${DRIVER}' place call ${SOCKET}`

/** The reason for which a caller is refused, null for one that is served. `script` runs `$CALLER`, in its surroundings. */
async function reasonFor(
  script: string,
  { config = {}, ...env }: Record<string, unknown> = {},
): Promise<{ readonly reason: string | null; readonly microseconds: number }> {
  const { code, stdout, stderr } = await lab.exec(['sh', '-ec', script], {
    env: { CALLER: `exec ${caller}`, ...(env as Record<string, string>) },
    stdin: JSON.stringify(config),
  })
  if (code !== 0) throw new Error(`The caller ended with code ${code}: ${stdout}${stderr}`)
  return JSON.parse(stdout)
}

/** Runs the caller with some of its mounts changed. */
const mounted = (change: string) =>
  `exec unshare --mount --propagation private sh -ec '${change}; eval "$CALLER"'`
const inRoot = (change: string) =>
  mounted(`mount --rbind / ${FOLDER}/root; ${change}; exec chroot ${FOLDER}/root sh -c "cd /; $CALLER"`)
const under = (words: string) => `exec ${words} sh -c "$CALLER"`
const net = { CNI_NETNS: '/run/netns/pod-one' }

/** A caller: its surroundings by a script, and what is special about its call. */
interface Case {
  readonly name: string
  readonly script: string
  readonly more?: Record<string, unknown>
}

const served: readonly Case[] = [
  { name: 'as the agent itself', script: under('env') },
  { name: 'with a namespace of the pod', script: under('env'), more: net },
  { name: 'with a link to it', script: under('env'), more: { CNI_NETNS: `${FOLDER}/to-pod` } },
  { name: 'with a path to none any more', script: under('env'), more: { CNI_NETNS: '/run/netns/gone' } },
  { name: 'in a mount namespace of its own', script: mounted('true'), more: net },
  { name: 'in a PID namespace of its own, with our mounts', script: under('unshare --pid --fork') },
  { name: 'with mounts that no call uses', script: mounted('mount -t tmpfs none /mnt'), more: net },
  { name: 'below another root that is the same one', script: inRoot('true'), more: net },
  {
    name: 'with folders that are nowhere',
    script: inRoot('true'),
    more: { config: { stateDir: '/run/none/at/all' }, CNI_PATH: '/no:/no/2' },
  },
  {
    name: 'as thick Multus calls',
    script: `exec unshare --mount --propagation private perl ${thick} /bin/sh -c "cd /; $CALLER"`,
    more: { ...net, CNI_PATH: '/usr/lib/cni:/opt/cni/bin' },
  },
]

test.each(served)('served: $name', async ({ script, more }) => {
  expect((await reasonFor(script, more)).reason).toBeNull()
})

const tmpfs = (path: string) => `mkdir -p ${path}; mount -t tmpfs none ${path}`
const otherRoot = `mkdir -p ${FOLDER}/other; mount -t tmpfs none ${FOLDER}/other; cd ${FOLDER}/other
  mkdir all; mount --rbind / all; for one in $(ls /); do ln -s all/$one; done; exec chroot . sh -c "cd /; $CALLER"`
const refused: Readonly<Record<string, readonly Case[]>> = {
  'the caller is not root': [{ name: 'a user', script: under('setpriv --reuid 1000 --clear-groups') }],
  'the caller is in another user namespace': [
    { name: 'root of a user namespace', script: under('unshare --user --map-root-user') },
  ],
  'the caller lacks capabilities': [
    { name: 'no CAP_NET_ADMIN', script: 'exec capsh --drop=cap_net_admin -- -c "$CALLER"' },
    { name: 'no CAP_SYS_ADMIN', script: 'exec capsh --drop=cap_sys_admin -- -c "$CALLER"' },
    {
      name: 'less than a worker’s IPAM programs',
      script: 'exec capsh --drop=cap_chown,cap_sys_boot -- -c "$CALLER"',
    },
    { name: 'no way to gain any', script: under('setpriv --no-new-privs') },
  ],
  'the caller is in another network namespace': [{ name: 'unshare', script: under('unshare --net') }],
  'the caller has another root directory': [{ name: 'chroot', script: mounted(otherRoot) }],
  'the caller has another /proc': [
    { name: 'that of its PID namespace', script: under('unshare --pid --fork --mount-proc') },
  ],
  'the caller has another /sys': [{ name: 'its own', script: mounted('mount -t tmpfs none /sys') }],
  'the caller has another /run': [{ name: 'that of a container', script: mounted(tmpfs('/run')) }],
  'the caller has another /etc/vf-flower': [{ name: 'its own settings', script: mounted(tmpfs('/etc')) }],
  'the caller has another state folder': [
    { name: 'as in microk8s', script: mounted(tmpfs('/var/lib/cni')) },
    {
      name: 'that of the config',
      script: mounted(tmpfs('/run/kept')),
      more: { config: { stateDir: '/run/kept/state' } },
    },
    {
      name: 'with a key written in another way',
      script: mounted(tmpfs('/run/kept')),
      more: { config: { STATEDIR: '/run/kept/state' } },
    },
  ],
  'the caller has another folder of leases': [
    { name: 'that of host-local', script: mounted(tmpfs('/var/lib/cni/networks')) },
    {
      name: 'that of the config',
      script: mounted(tmpfs('/run/kept')),
      more: { config: { ipam: { type: 'host-local', dataDir: '/run/kept/leases' } } },
    },
  ],
  'the caller has another folder of CNI_PATH': [
    {
      name: 'its own plugins',
      script: mounted(tmpfs(`${FOLDER}/bin`)),
      more: { CNI_PATH: `/usr/lib/cni:${FOLDER}/bin` },
    },
    {
      name: 'nothing, below a folder that differs',
      script: mounted(tmpfs(`${FOLDER}/bin`)),
      more: { CNI_PATH: `${FOLDER}/bin/none` },
    },
  ],
  'the caller has another way to its folders': [
    { name: 'by its process', script: inRoot('true'), more: { CNI_PATH: '/proc/self/root/usr/lib/cni' } },
  ],
  'CNI_NETNS leads to another place here': [
    {
      name: 'another namespace is mounted there',
      script: mounted('mount --bind /run/netns/pod-two /run/netns/pod-one'),
      more: net,
    },
    {
      name: 'nothing is there here',
      script: mounted(
        `${tmpfs(`${FOLDER}/root`)}; touch ${FOLDER}/root/pod; mount --bind /run/netns/pod-one ${FOLDER}/root/pod`,
      ),
      more: { CNI_NETNS: `${FOLDER}/root/pod` },
    },
  ],
  'CNI_NETNS is a path of the caller itself': [
    { name: '/proc/self', script: under('env'), more: { CNI_NETNS: '/proc/self/ns/net' } },
    { name: '/proc/thread-self', script: under('env'), more: { CNI_NETNS: '//proc/./thread-self/ns/net' } },
  ],
}

test.each(Object.entries(refused).flatMap(([reason, cases]) => cases.map((one) => ({ reason, ...one }))))(
  'refused, because $reason: $name',
  async ({ reason, script, more }) => {
    expect((await reasonFor(script, more)).reason).toBe(reason)
  },
)
