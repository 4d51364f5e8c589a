/** The one error type that reaches a CNI runtime, and the table of codes. */

/** Codes 0-99 belong to the CNI specification ("Error" section, and libcni's pkg/types for 8); ours start at 100. */
export const code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodeFailure: 6,
  invalidConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  pluginNotAvailable: 50,
  limitedConnectivity: 51,
  portTaken: 100,
  offloadRefused: 101,
  kernelRefused: 102,
  notRestored: 103,
  checkFailed: 104,
  delegateFailed: 105,
  uplinkTaken: 106,
  internal: 199,
} as const

export type ErrorName = keyof typeof code

/** The meaning of each code for the operator; docs/configuration.md has a shorter table. */
export const meaning: Readonly<Record<ErrorName, string>> = {
  incompatibleVersion:
    'cniVersion of the config or of a result is not supported, or does not allow the command',
  unsupportedField: 'a key or value is understood but not supported; the message holds both',
  unknownContainer: 'the container does not exist; the runtime need not call DEL',
  invalidEnvironment: 'a CNI_ variable is missing or invalid; the message names it',
  ioFailure: 'reading stdin, writing a result or using a state file failed',
  decodeFailure: 'the network config, prevResult or a result is not the JSON it should be',
  invalidConfig: 'the network config is JSON but asks for something invalid',
  invalidNetns: 'CNI_NETNS is no network namespace, or is the namespace of the plugin itself',
  tryAgainLater: 'the device or a lock is in use right now; repeat the call',
  pluginNotAvailable:
    'the plugin is not available: STATUS, every ADD of this config would fail; or the program can not run in its surroundings',
  limitedConnectivity:
    'of an IPAM plugin: STATUS, it is not available and running containers may have limited connectivity',
  portTaken:
    'a host port belongs to another container, a program or a service of the node; the message names it',
  offloadRefused: 'offload is required and the NIC or its driver refused; the message keeps its words',
  kernelRefused: 'the kernel refused a change; the message keeps its words and the errno',
  notRestored: 'the original state could not be restored completely; the record is kept, repeat DEL',
  checkFailed: 'CHECK found that the attachment is not as ADD left it',
  delegateFailed:
    'the IPAM plugin is missing, could not be run, or answered with something that is no result',
  uplinkTaken: "another program takes the uplink's frames before our rules could; the message names it",
  internal: 'a defect of this program; stderr holds the stack',
}

/** The JSON object of the CNI specification, section "Error". */
export interface ErrorObject {
  readonly cniVersion: string
  readonly code: number
  readonly msg: string
  readonly details?: string
}

/** A failure as the runtime sees it. Layers below the protocol throw errors of their own; cni/failure.ts converts those. */
export class CniError extends Error {
  override readonly name = 'CniError'
  /** One of {@link code}, or the code that a delegated plugin reported. */
  readonly code: number
  readonly details: string | undefined

  constructor(
    code: number,
    msg: string,
    options?: { readonly details?: string | undefined; readonly cause?: unknown },
  ) {
    super(cut(msg), options?.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options?.details === undefined ? undefined : cut(options.details)
  }

  /** The JSON object for stdout. `cniVersion` is the config's, or our newest version where the config's is unknown. */
  toObject(cniVersion: string): ErrorObject {
    // The config's `cniVersion` may be any text.
    const object = { cniVersion: cniVersion.slice(0, 64), code: this.code, msg: this.message }
    return this.details ? { ...object, details: this.details } : object
  }

  /** Converts anything thrown to a CniError. Anything but a CniError is a defect of this program (code 199). */
  static from(thrown: unknown): CniError {
    if (thrown instanceof CniError) return thrown
    return new CniError(code.internal, `Internal error: ${textOf(thrown)}`, { cause: thrown })
  }
}

/** Longest message, and longest details, in characters: runtimes copy both into events and logs. */
const mostCharacters = 16_000

function cut(text: string): string {
  return text.length > mostCharacters ? `${text.slice(0, mostCharacters)} ...` : text
}

function textOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message || thrown.name : String(thrown)
  } catch {
    return 'thrown value has no text'
  }
}
