// Calls of a container runtime in a node of the lab. In: a Lab, the runtime's socket. Out: typed calls.
import { startOrders } from '../bed/orders.ts'
import { DRIVER } from '../driver/client.ts'
import type { Lab } from '../lab.ts'
import type { CriOrder, CriReply } from './cri-guest.ts'
import type { CriCall } from './messages.ts'

/** The runtime refused a call. The message is the runtime's own. */
export class CriError extends Error {
  override readonly name = 'CriError'
}

/** A port of the node that leads to a port of the pod. */
export interface CriPort {
  /** 0 TCP, 1 UDP, 2 SCTP. */
  readonly protocol?: 0 | 1 | 2
  readonly container_port: number
  readonly host_port: number
  readonly host_ip?: string
}

/** A pod, as kubelet describes it to the runtime. */
export interface PodSandboxConfig {
  readonly metadata: { readonly name: string; readonly uid: string; readonly namespace: string }
  readonly hostname: string
  readonly log_directory: string
  readonly port_mappings: readonly CriPort[]
  readonly annotations: Readonly<Record<string, string>>
  readonly linux: { readonly cgroup_parent: string }
}

/** A pod that the runtime knows. */
export interface KnownPod {
  readonly id: string
  readonly metadata: { readonly name: string }
  /** 0 ready, 1 not ready. */
  readonly state: number
}

/** A client that stays. */
export interface Cri {
  /** One call. @throws CriError with the runtime's words */
  call(call: CriCall, request?: object): Promise<Record<string, unknown>>
  /** Ends the client. */
  end(): Promise<void>
}

/** Milliseconds after which a call counts as hung. kubelet has 120,000; a pod in emulation beside other work can take longer. */
export const LONGEST_CALL = 600_000

/** Starts a client for the runtime at `socket`, which need not run yet. */
export async function startCri(lab: Lab, socket: string): Promise<Cri> {
  const { order, end } = await startOrders<Omit<CriOrder, 'id'>, CriReply & { error?: string }>(
    lab,
    'The client of the container runtime',
    [DRIVER, 'cri', socket],
  )
  return {
    end,
    call: async (call, request = {}) => {
      const { answer, refused } = await order({ call, request, timeout: LONGEST_CALL })
      if (refused !== undefined) throw new CriError(refused)
      return answer as Record<string, unknown>
    },
  }
}
