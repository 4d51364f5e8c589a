// The manifests as an operator edits them for a node: copies of device-plugin/deploy in it. In: a node. Out: folders for `kubectl apply -k`.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SimulatorError } from '../api.ts'
import { TAGS } from './images.ts'
import { DEPLOY } from './kubectl.ts'
import type { Whole } from './whole.ts'

const COPY = '/run/deploy'
const HEAD = 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n'

/** Folders in the node. */
export interface Edited {
  /** `overlays/daemonset`, with the card of the node. */
  readonly daemonset: string
  /** The same with the image of the next release. */
  readonly next: string
  /** `daemonset` with a device plugin that finds no kubelet. */
  readonly broken: string
  /** `overlays/remove` with the image of the next release. */
  readonly remove: string
  /** Networks, and the pods that this node can run: `web` and `limited`. */
  readonly examples: string
}

/** Writes all of them. */
export async function writeEdited({ lab, files }: Whole): Promise<Edited> {
  await lab.must(`cp -r '${DEPLOY}' ${COPY}`)
  const folder = async (name: string, lines: readonly string[]) => {
    await lab.writeFile(`${COPY}/overlays/${name}/kustomization.yaml`, `${HEAD}${lines.join('\n')}\n`)
    return `${COPY}/overlays/${name}`
  }
  const tag = [`images: [{ name: localhost/vf-flower, newTag: ${TAGS.next} }]`]
  const card = files === undefined ? [] : cardPatch(files.flags)
  await lab.writeFile(`${COPY}/examples/networks.yaml`, files === undefined ? onWire() : onEnds())
  const kustomization = 'examples/kustomization.yaml'
  const some = read(kustomization).replace(/^ {2}- (telco|dpdk|bond)\.yaml\n/gm, '')
  await lab.writeFile(`${COPY}/${kustomization}`, some)
  return {
    daemonset: await folder('card', ['resources: [../daemonset]', ...card]),
    next: await folder('next', ['resources: [../daemonset]', ...card, ...tag]),
    broken: await folder('broken', ['resources: [../card]', ...patchOf([NO_KUBELET])]),
    remove: await folder('remove-next', ['resources: [../remove]', ...tag]),
    examples: `${COPY}/examples`,
  }
}

/** The end of a veth pair in the place of a VF, and its other end with the network's gateway. */
const ENDS = [
  { network: 'vf-first', device: 'nic0', gateway: '10.20.0.1/16' },
  { network: 'vf-second', device: 'nic1', gateway: '10.21.0.1/16' },
] as const

/** Makes the ends on a node without a card. */
export const MAKE_ENDS = ENDS.map(
  ({ device, gateway }) => `ip link add ${device} type veth peer name far-${device}
ip address add ${gateway} dev far-${device} && ip link set far-${device} up`,
).join('\n')

const read = (file: string) => readFileSync(join(DEPLOY, file), 'utf8')

/** Networks with {@link ENDS}: no device of the pod's pool, but a name. */
function onEnds(): string {
  return networks()
    .map((text, index) => {
      const { device = '' } = ENDS[index] ?? {}
      return changed(
        changed(text, /^ {2}annotations:\n.*\n/m, ''),
        /"type": "vf-attach",/,
        `"type": "vf-attach", "device": "${device}",`,
      )
    })
    .join('---\n')
}

/** Networks with addresses of the wire of the bed, whose router is the way to others. */
function onWire(): string {
  return networks()
    .map((text, index) => {
      const range = `"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.${50 + 20 * index}", "rangeEnd": "10.1.0.${60 + 20 * index}"`
      // host-local would take the first address of the subnet, the node's.
      return changed(text, /"subnet": [^}]*/, `${range}, "gateway": "10.1.0.254" `)
    })
    .join('---\n')
}

/** The texts of the networks of {@link ENDS}, in this order. */
function networks(): readonly string[] {
  const all = read('examples/networks.yaml').split(/^---\n/m)
  return ENDS.map(({ network }) => {
    const text = all.find((one) => one.includes(`\n  name: ${network}\n`))
    if (text === undefined) throw new SimulatorError(`the examples have no network "${network}"`)
    return text
  })
}

function changed(text: string, what: RegExp, now: string): string {
  const done = text.replace(what, now)
  if (done === text) throw new SimulatorError(`Cannot edit ${text}: ${what} is not in it`)
  return done
}

const CONTAINER = '/spec/template/spec/containers/0'
const NO_KUBELET = { op: 'add', path: `${CONTAINER}/args/-`, value: '--kubelet-dir=/nowhere' }

/** A patch of the device plugin, as lines of a kustomization. */
function patchOf(operations: readonly object[]): readonly string[] {
  const target = { kind: 'DaemonSet', name: 'vf-device-plugin' }
  // A document in JSON is one in YAML too.
  return [`patches: ${JSON.stringify([{ target, patch: JSON.stringify(operations) }])}`]
}

/** A patch that shows a card of files to the device plugin. */
function cardPatch(flags: readonly string[]): readonly string[] {
  const sys = flags[flags.indexOf('--sys-root') + 1] ?? ''
  return patchOf([
    { op: 'add', path: `${CONTAINER}/args/-`, value: '--sys-root=/host/card' },
    { op: 'add', path: `${CONTAINER}/volumeMounts/-`, value: { name: 'card', mountPath: '/host/card' } },
    { op: 'add', path: '/spec/template/spec/volumes/-', value: { name: 'card', hostPath: { path: sys } } },
  ])
}
