/**
 * The jobs of the guest in soak tests, as data: the host writes jobs, test/soak/guest.ts carries them out and answers.
 * One process for hundreds of calls, because starting one from the host for each would cost more than the call itself.
 */
import type { JsonObject } from '../../src/lib/json.ts'

/** One call of a plugin. */
export interface Call {
  readonly do: 'call'
  readonly verb: 'ADD' | 'DEL' | 'CHECK' | 'GC'
  readonly container: string
  /** Path, or '' where the runtime has none any more. */
  readonly netns: string
  readonly ifname: string
  readonly config: JsonObject
  /** Value of VF_FLOWER_FAULT. */
  readonly fault?: string
  /** The answer tells which fault points were passed. */
  readonly traced?: true
  /** The answer holds the lines of the log at debug level. */
  readonly logged?: true
  /** With the container's last result as prevResult; the call is left out when there is none. */
  readonly prev?: true
  /** Milliseconds after which the process is killed. */
  readonly killAfterMs?: number
  /** Only if the container has a record: tidies up after a failure, so that the next job starts clean. */
  readonly ifRecord?: true
}

/** A line for sh, which must succeed. */
export interface Shell {
  readonly do: 'sh'
  readonly script: string
}

/** A look at the lane's devices, its pods and its files, with `ip` and sysfs alone, and at what a script prints. */
export interface Look {
  readonly do: 'look'
  readonly pods: readonly string[]
  readonly script?: string
  /** Only if the last call was refused: what went well is looked at when it is over. */
  readonly ifRefused?: true
}

/**
 * Steps for the case that the lane has a record or an address: whoever left neither has nothing to take back. `otherwise`
 * is for the other case.
 */
export interface IfLeft {
  readonly do: 'ifLeft'
  readonly steps: readonly Step[]
  readonly otherwise: readonly Step[]
}

export type Step = Call | Shell | Look | IfLeft

/** Steps that are run one after the other. */
export interface Job {
  readonly id: string
  readonly steps: readonly Step[]
}

/** The place that a lane works on; no other lane touches it. */
export interface Place {
  readonly pf: string
  /** Index and PCI address of its VFs. */
  readonly vfs: readonly { readonly index: number; readonly pci: string }[]
  /** Names of software interfaces that are its own. */
  readonly devices: readonly string[]
  /** Name of its CNI network; also of its folder of addresses. */
  readonly network: string
}

/** Jobs that are run one after the other, beside those of other lanes. */
export interface Lane {
  readonly place: Place
  readonly jobs: readonly Job[]
}

/** The end of a call. `object` is its output; undefined if there was none. */
export interface CallAnswer {
  readonly do: 'call'
  readonly code: number
  readonly signal: string | null
  readonly object?: JsonObject | undefined
  readonly stderr: string
  readonly trace?: readonly string[]
  readonly log?: readonly JsonObject[]
  /** Left out: there was no result to give along, or no record. */
  readonly leftOut?: true
}

export interface ShellAnswer {
  readonly do: 'sh'
  readonly stdout: string
}

/** Interfaces as `ip -d -j link` and `ip -d -j address` print them. */
export interface LookAnswer {
  readonly do: 'look'
  /** The lane's VFs in the PF's list, by index. */
  readonly vfinfo: Readonly<Record<string, JsonObject>>
  /** The lane's interfaces on the host. */
  readonly host: readonly JsonObject[]
  /** Pods that exist: the namespace's cookie (SO_NETNS_COOKIE), which no other one gets, and all interfaces but lo. */
  readonly pods: Readonly<Record<string, { readonly id: string; readonly links: readonly JsonObject[] }>>
  /** Records of the lane's network by file name, and every other file there that is not a folder. */
  readonly records: Readonly<Record<string, string>>
  /** Addresses that host-local has given out, and to whom. */
  readonly addresses: Readonly<Record<string, string>>
  /** The output of the script. */
  readonly text: string
  /** Left out: nothing was refused. */
  readonly leftOut?: true
}

export type Answer = CallAnswer | ShellAnswer | LookAnswer

/** Answers in the order of the steps that were carried out; `error` when a step could not be carried out at all. */
export interface JobAnswer {
  readonly id: string
  readonly answers: readonly Answer[]
  readonly ms: number
  readonly error?: string
}

/** Given to the guest on stdin, to a process for each lane. */
export interface Order {
  /** Path of the plugin under test. */
  readonly plugin: string
  /** CNI_PATH */
  readonly path: string
  /** Folder where the plugin keeps its records. */
  readonly records: string
  readonly lane: Lane
  /** An agent serves the calls. A signal of a fault then strikes its worker alone, not the program that takes the worker's place. */
  readonly warm?: true
  /** A script that has the agent ready for a call that a fault is to strike: after crashes it pauses. */
  readonly freshAgent?: string
  /** A script that prints the agent's state. */
  readonly agentStatus?: string
}

/** The folder in which host-local keeps a network's addresses. */
export const addressFolder = '/var/lib/cni/networks'

/** A script for sh: commands of `ip`, without that word, in one process; the first that fails ends it. */
export function ipBatch(lines: readonly string[]): string {
  return lines.length === 0 ? 'true' : ['ip -batch - <<END', ...lines, 'END'].join('\n')
}
