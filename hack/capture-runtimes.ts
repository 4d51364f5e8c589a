// Writes fixtures of test/fixtures/conf: the calls of Multus, CRI-O, podman and cnitool, environment and stdin, byte for byte, as libcni makes
// them for the parameters of each. The plugins are shell scripts that note their call. Needs golang-go. Run under the pinned Bun:
//     sh hack/bun.sh hack/capture-runtimes.ts
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { buildLibcni } from './lab/libcni/libcni.ts'

const OUT = join(import.meta.dirname, '../test/fixtures/conf')
const container = 'b552f9e1a0b74f5f8b1e1b3b1b7f2f0e9a4f6c2d8e0a1b3c5d7e9f1a2b3c4d5e'
const netns = '/var/run/netns/cni-8f6d2f0c-5a3e-4a7b-9c1d-0e2f4a6b8c0d'
const device = '0000:81:02.3'
const pod = `K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=${container};K8S_POD_UID=7c1f0a52-3d5e-4b8f-a6c9-1e3d5f7a9b0c`
const ports = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]

/** The calls of one runtime. */
interface Case {
  readonly runtime: string
  /** The comment of each file. */
  readonly source: string
  readonly cniVersion: string
  /** Added to each plugin's config. */
  readonly more?: Readonly<Record<string, unknown>>
  readonly container: string
  readonly ifname: string
  readonly args: string
  readonly capabilities?: Readonly<Record<string, unknown>>
  /** Folders of CNI_PATH before that of the plugins. */
  readonly before?: readonly string[]
  /** Verbs of libcni/main.go with further arguments, in order. */
  readonly calls: readonly (readonly [verb: string, ...rest: string[]])[]
}

const cases: readonly Case[] = [
  {
    runtime: 'multus4',
    source:
      'as Multus 4.3.0 calls it as a delegate: both ids at the top level of each plugin, each argument twice',
    ...{ cniVersion: '1.1.0', more: { deviceID: device, pciBusID: device }, container, ifname: 'net1' },
    args: `IgnoreUnknown=true;${pod};IgnoreUnknown=1;${pod}`,
    capabilities: { portMappings: ports, bandwidth: { ingressRate: 1e8, ingressBurst: 34359738359 } },
    before: ['/opt/cni/bin'],
    calls: [['status'], ['add'], ['check'], ['del']],
  },
  {
    runtime: 'crio',
    source:
      'as CRI-O 1.34.11 calls it by ocicni: GC with null at the first start, CHECK after ADD, no portMappings',
    ...{ cniVersion: '1.1.0', container, ifname: 'eth0', args: `IgnoreUnknown=1;${pod}` },
    calls: [['status'], ['gc'], ['add'], ['check'], ['del']],
  },
  {
    runtime: 'podman4',
    source: 'as podman 4 calls it (libnetwork/cni/run.go of containers/common 0.57, getRuntimeConfig)',
    ...{ cniVersion: '0.4.0', container, ifname: 'eth0', args: 'IgnoreUnknown=1;K8S_POD_NAME=web' },
    capabilities: { portMappings: ports },
    calls: [['add'], ['del']],
  },
  {
    runtime: 'cnitool',
    source: 'as cnitool 1.3.0 calls it (cnitool/cmd/root.go): GC without a list',
    ...{ cniVersion: '1.1.0', container: 'cnitool-77383ca0a0715733ca6f', ifname: 'eth0', args: '' },
    capabilities: { portMappings: ports },
    calls: [['status'], ['gc', 'without-list'], ['add'], ['check'], ['del']],
  },
]

const RECORDER = `#!/bin/sh
input=$(cat)
name=\${0##*/}
verb=$(echo "$CNI_COMMAND" | tr A-Z a-z)
{ env | grep ^CNI_ | sort; echo; printf '%s\\n' "$input"; } >"$CAPTURE/$verb-$name.txt"
[ "$CNI_COMMAND" = ADD ] || exit 0
case $name in
  vf-attach) echo "$CAPTURE_RESULT" ;;
  vf-offload) printf '%s' "$input" | sed -E 's/.*"prevResult":(.*),("runtimeConfig"|"type"):.*/\\1/; s/,"runtimeConfig":.*//' ;;
esac
`

const program = await buildLibcni()
for (const one of cases) await capture(one)

async function capture(one: Case): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'vf-capture-'))
  try {
    const bin = join(work, 'bin')
    mkdirSync(bin)
    for (const name of ['vf-attach', 'vf-offload']) {
      writeFileSync(join(bin, name), RECORDER)
      chmodSync(join(bin, name), 0o755)
    }
    const { cniVersion, more = {}, capabilities } = one
    const list = {
      ...{ cniVersion, name: 'vf-net' },
      plugins: [
        {
          type: 'vf-attach',
          ...more,
          ipam: { type: 'host-local', ranges: [[{ subnet: '10.56.217.0/24' }]] },
        },
        { type: 'vf-offload', ...more, capabilities: { portMappings: true, bandwidth: true } },
      ],
    }
    const file = join(work, 'vf-net.conflist')
    writeFileSync(file, JSON.stringify(list))
    const result = {
      cniVersion,
      interfaces: [{ name: one.ifname, mac: '02:23:45:67:89:01', sandbox: netns }],
      ips: [
        {
          ...(cniVersion === '0.4.0' ? { version: '4' } : {}),
          ...{ address: '10.56.217.131/24', gateway: '10.56.217.1', interface: 0 },
        },
      ],
    }
    const env = {
      ...{ CNI_PATH: [...(one.before ?? []), bin].join(':'), CNI_ARGS: one.args },
      ...{ CAPTURE: work, CAPTURE_RESULT: JSON.stringify(result) },
    }
    for (const [verb, ...rest] of one.calls) {
      const aboutPod = ['add', 'check', 'del'].includes(verb)
      const words = [
        one.container,
        netns,
        one.ifname,
        ...(capabilities ? [JSON.stringify(capabilities)] : []),
      ]
      const args = aboutPod ? words : rest
      await execa(program, [verb, file, join(work, 'cache'), ...args], { env })
      for (const name of ['vf-attach', 'vf-offload']) keep(one, work, bin, `${verb}-${name}.txt`)
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function keep({ runtime, source, before = [] }: Case, work: string, bin: string, name: string): void {
  const folder = before.length === 0 ? '/opt/cni/bin' : '/usr/lib/cni'
  const text = readFileSync(join(work, name), 'utf8').replace(bin, folder)
  writeFileSync(
    join(OUT, `${runtime}-${name}`),
    `# libcni 1.3.0, ${source}\n# written by hack/capture-runtimes.ts\n${text}`,
  )
}
