/**
 * One executable, several programs: the name it was called by decides (node:path would cost start time). Loads only what the call needs, because a CNI
 * plugin is one process per pod operation and its start is paid every time.
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
  // `sriov` and `host-device` are vf-attach, `portmap` and `bandwidth` are vf-offload, under the names that existing network configs call.
  const { runCni } = await import('./run-cni.ts')
  process.exitCode = await runCni(name)
} else if (name === 'vfctl') {
  const { runVfctl } = await import('./ctl/main.ts')
  process.exitCode = await runVfctl(process.argv.slice(2))
} else if (name === 'vf-device-plugin') {
  // A program that stays: here compiling pays (hack/build.ts holds it back for calls that end at once).
  Bun.unsafe.setJITPolicy(1)
  const { runDevicePlugin } = await import('../device-plugin/main.ts')
  process.exitCode = runDevicePlugin(process.argv.slice(2))
} else {
  console.error(
    `vf-flower: called as "${name}"; call it as vf-attach (or sriov, host-device), vf-offload (or portmap, bandwidth), vfctl or vf-device-plugin`,
  )
  process.exitCode = 2
}
