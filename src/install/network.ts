/** Network configs: the one that `--network` writes, and those that are there. */
import { readFileSync } from 'node:fs'
import { errorText } from '../lib/error-text.ts'
import { isObject } from '../lib/json.ts'
import { lastPart } from '../lib/path.ts'
import { listFolder } from '../sys/files.ts'
import { InstallError } from './errors.ts'
import { objectAt, objectIn } from './json-file.ts'

/** A bridge with addresses of its own, port mappings and limits: runs on every node, with the usual plugins beside ours. */
const example = {
  cniVersion: '1.0.0',
  name: 'vf-flower',
  plugins: [
    {
      ...{ type: 'bridge', bridge: 'vf-flower0', isGateway: true, ipMasq: true, hairpinMode: true },
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.86.0.0/16' }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
    { type: 'vf-offload', capabilities: { portMappings: true, bandwidth: true } },
  ],
}

/** The file of {@link example}: libcni reads the folder in the order of names. */
const exampleName = '10-vf-flower.conflist'

/** A file for a network config. */
export interface NetworkFile {
  readonly name: string
  readonly text: string
  /** Name of the network. */
  readonly network: string
  /** Plugins that it calls, IPAM plugins among them. */
  readonly plugins: readonly string[]
}

/** The config that the operator wants: that of a file, or the example. @throws InstallError */
export function wantedNetwork(wish: string): NetworkFile {
  if (wish === 'example')
    return read(exampleName, `${JSON.stringify(example, undefined, 2)}\n`, 'the example')
  let text: string
  try {
    text = readFileSync(wish, 'utf8')
  } catch (error) {
    throw new InstallError(`Cannot read the network config "${wish}": ${errorText(error)}`)
  }
  const name = lastPart(wish)
  if (!isConfigName(name))
    throw new InstallError(
      `Cannot use the network config "${wish}": its name must end with .conflist, .conf or .json, or no runtime reads it`,
    )
  return read(name, text, `"${wish}"`)
}

function read(name: string, text: string, shown: string): NetworkFile {
  const config = objectIn(text)
  if (config === undefined)
    throw new InstallError(`Cannot use the network config ${shown}: it is no JSON object`)
  const { plugins, name: network } = config
  if (typeof network !== 'string')
    throw new InstallError(`Cannot use the network config ${shown}: it has no "name"`)
  const isList = name.endsWith('.conflist')
  const list: readonly unknown[] = isList ? (Array.isArray(plugins) ? plugins : []) : [config]
  const types = list.map((one) => textAt(one, 'type'))
  if (types.length === 0 || types.includes(undefined))
    throw new InstallError(
      `Cannot use the network config ${shown}: ${isList ? 'each of its "plugins" must have' : 'it must have'} a "type"`,
    )
  const all = [...types, ...list.map((one) => textAt(memberAt(one, 'ipam'), 'type'))]
  return { name, text, network, plugins: [...new Set(all.filter((one) => one !== undefined))] }
}

/** A network config of a node, as far as it can be read. */
export interface FoundNetwork {
  readonly file: string
  readonly network: string | undefined
  /** Folders of records that its plugins name. */
  readonly stateDirs: readonly string[]
}

/** The network configs of a folder, in the order in which libcni reads them. Files that can't be read have no names. */
export function networksIn(folder: string): readonly FoundNetwork[] {
  return names(folder).map((name) => {
    const config = objectAt(`${folder}/${name}`)
    const plugins: unknown = config?.plugins
    const all = [config, ...(Array.isArray(plugins) ? (plugins as readonly unknown[]) : [])]
    const dirs = all.flatMap((one) => textAt(one, 'stateDir') ?? [])
    return {
      file: name,
      network: textAt(config, 'name'),
      stateDirs: dirs.filter((one) => one.startsWith('/')),
    }
  })
}

function names(folder: string): readonly string[] {
  try {
    return listFolder(folder).filter(isConfigName)
  } catch {
    return []
  }
}

function isConfigName(name: string): boolean {
  return /^[^.].*\.(conflist|conf|json)$/.test(name)
}

function memberAt(value: unknown, key: string): unknown {
  return isObject(value) ? value[key] : undefined
}

function textAt(value: unknown, key: string): string | undefined {
  const found = memberAt(value, key)
  return typeof found === 'string' ? found : undefined
}
