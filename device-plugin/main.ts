import { version } from '../src/lib/version.ts'

const usage = `vf-device-plugin ${version}: Kubernetes device plugin for SR-IOV virtual functions; it does not serve a kubelet yet

Usage:
  vf-device-plugin --help       this text
  vf-device-plugin --version    the version
`

/** The command line of `vf-device-plugin`; returns the exit code. */
export function runDevicePlugin(args: readonly string[]): number {
  const [first] = args
  if (first === '--version') console.log(version)
  else if (first === undefined || first === '--help' || first === '-h') console.log(usage.trimEnd())
  else {
    const problem = `Cannot use argument "${first}": must be --help or --version`
    console.error(`vf-device-plugin: ${problem}\n\n${usage.trimEnd()}`)
    return 2
  }
  return 0
}
