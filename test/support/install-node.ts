// A node on which vf-flower is installed. In: a lab. Out: the installers of two builds, a look at the file system, and a stand-in for
// systemctl, because no systemd can run in a node: it starts and ends what the unit says.
import { dirname } from 'node:path'
import type { ExecResult, Lab } from '../../hack/lab/lab.ts'
import { executable } from './executable.ts'
import { lab as sharedLab } from './lab.ts'
import { buildIdOf } from './shim/bed.ts'

/** CNI folder of the distribution, in which its IPAM plugins are. */
export const CNI = '/usr/lib/cni'
/** Folders of the machine itself that show through: packages and databases change them meanwhile. */
const passedOver =
  '/var/lib/(apt|dpkg|postgresql|systemd|containerd|docker|ucf)(/|$| )|/etc/(ld.so.cache|apt/)'
const folders = `/etc /opt ${CNI} /usr/local /var/lib /var/lib/cni /etc/cni`
const dist = dirname(executable('vf-flower'))

/** The release and the build for tests: two builds of the same records. */
export const builds = [
  { program: `${dist}/vf-flower`, id: buildIdOf(`${dist}/vf-attach`) },
  { program: `${dist}/test/vf-flower`, id: buildIdOf(`${dist}/test/vf-attach`) },
] as const

/** Gives the node a containerd whose CNI folder is {@link CNI}, as Debian has it. */
export async function configureContainerd(lab: Lab): Promise<void> {
  await lab.writeFile(
    '/etc/containerd/config.toml',
    `version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "${CNI}"\n`,
  )
}

/** The shared lab as a node with that containerd, and with what `more` does to it, and its files before any install. */
export async function installNode(
  more: (lab: Lab) => Promise<void> = async () => undefined,
): Promise<{ readonly lab: Lab; readonly before: readonly string[] }> {
  const lab = await sharedLab()
  await configureContainerd(lab)
  await more(lab)
  return { lab, before: await lookAtFiles(lab) }
}

/** Gives the node an address, which host ports are on. */
export async function addNodeAddress(lab: Lab): Promise<void> {
  await lab.must(`ip link add node-up type veth peer name node-end; ip link set node-end up
    ip address add 10.1.8.1/22 dev node-up; ip link set node-up up`)
}

/** The output of a script in the node, without the newline at its end. */
export async function outputOf(lab: Lab, script: string): Promise<string> {
  return (await lab.must(script)).trimEnd()
}

/** Every file and folder: kind, mode, owner, size, target; time and content of files. */
export async function lookAtFiles(lab: Lab): Promise<readonly string[]> {
  const out = await outputOf(
    lab,
    `export LC_ALL=C
    others() { grep -Ev ' (${passedOver})' | sort -u; }
    find ${folders} -xdev ! -type d -printf '%y %m %U:%G %s %T@ %p %l\\n' | others
    find ${folders} -xdev -type d -printf '%y %m %U:%G %p\\n' | others
    find /etc ${CNI} /opt/cni -xdev -type f -exec sha256sum {} + 2>/dev/null | others`,
  )
  return out.split('\n')
}

/** Runs an installer. */
export async function runInstaller(
  lab: Lab,
  program: string,
  ...words: readonly string[]
): Promise<ExecResult> {
  return lab.exec([program, ...words])
}

/** Runs an installer that must succeed; returns what it says. */
export async function mustInstall(lab: Lab, program: string, ...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runInstaller(lab, program, ...words)
  if (code !== 0) throw new Error(`${words.join(' ')}: code ${code}: ${stdout}${stderr}`)
  return stdout
}

/** The commands that the stand-in has got. */
export const systemctlLog = '/run/systemctl.log'

/** Makes the node look as if systemd ran. `restart` starts what the unit says, and then ends the one before, as a takeover. */
export async function standInForSystemd(lab: Lab): Promise<void> {
  await lab.must('mkdir -p /run/systemd/system /run/stand-in')
  await lab.writeFile(
    '/run/stand-in/systemctl',
    `#!/bin/sh
echo "$*" >>${systemctlLog}
end() { [ ! -s /run/agent.pid ] || kill -TERM "$(cat /run/agent.pid)" 2>/dev/null; }
[ ! -e /run/stand-in/refuses ] || { echo refused >&2; exit 1; }
case $1 in
restart|try-restart)
  program=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/$2) || exit 1
  end
  setsid "$program" </dev/null >>/run/agent.log 2>&1 &
  echo $! >/run/agent.pid
  tries=0
  until vfctl agent --json 2>/dev/null | grep -q "\\"pid\\": $!,"; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || exit 1
    sleep 0.05
  done ;;
disable) end ;;
esac
`,
    0o755,
  )
}

/** PATH with the stand-in. */
export const withStandIn = { PATH: '/run/stand-in:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }
