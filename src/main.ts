/**
 * One executable, several programs: the name of the call decides. The name is cut from argv0 by hand, because loading node:path costs
 * start time. A CNI plugin is one process per pod operation and pays its start every time, so each call loads only its own modules.
 */
export {}

const name = process.argv0.slice(process.argv0.lastIndexOf('/') + 1)

if (
  name === 'vf-attach' ||
  name === 'sriov' ||
  name === 'host-device' ||
  name === 'vf-offload' ||
  name === 'portmap' ||
  name === 'bandwidth'
) {
  // Existing network configs call these names: `sriov` and `host-device` are vf-attach, `portmap` and `bandwidth` are vf-offload.
  const { runCni } = await import('./run-cni.ts')
  process.exitCode = await runCni(name, process.argv.slice(2))
} else if (name === 'vfctl') {
  const { runVfctl } = await import('./ctl/main.ts')
  process.exitCode = await runVfctl(process.argv.slice(2))
} else if (name === 'vf-device-plugin') {
  // The device plugin runs for long, so compiling pays here. hack/build.ts delays compiling, for calls that end at once.
  Bun.unsafe.setJITPolicy(1)
  // In the executable the device plugin is an entry point beside this one (hack/build.ts), whose name the bundler can't foresee.
  const load = import.meta.require as (name: string) => typeof import('../device-plugin/main.ts')
  process.exitCode = await load(['.', 'device-plugin.js'].join('/')).runDevicePlugin(process.argv.slice(2))
} else if (name === 'vf-agent') {
  // A bundle of its own, for the same reason.
  const load = import.meta.require as (name: string) => typeof import('./agent/main.ts')
  process.exitCode = await load(['.', 'agent.js'].join('/')).runAgent(process.argv.slice(2))
} else if (/^vf-flower(-[0-9a-f]{32})?$/.test(name)) {
  // A bundle of its own: no CNI call pays for it.
  const load = import.meta.require as (name: string) => typeof import('./install/main.ts')
  process.exitCode = await load(['.', 'install.js'].join('/')).runInstaller(process.argv.slice(2))
} else {
  console.error(
    `vf-flower: Cannot run a program called as "${name}": must be vf-attach (or sriov, host-device), vf-offload (or portmap, bandwidth), vfctl, vf-device-plugin, vf-agent or vf-flower`,
  )
  process.exitCode = 2
}
