/** The calls that kubelet makes of one pool's server. */
import {
  type handleUnaryCall,
  type ServerWritableStream,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { errorText } from '../../src/lib/error-text.ts'
import { AllocationRefused, type Core } from '../front-end.ts'
import type { PluginLog } from '../log.ts'
import { containerAnswer } from './answers.ts'
import type { KubeletObserver } from './observer.ts'
import type { Streams } from './streams.ts'
import type {
  AllocateRequest,
  AllocateResponse,
  DevicePluginOptions,
  ListAndWatchResponse,
  PluginInfo,
  PreferredAllocationRequest,
  PreferredAllocationResponse,
  RegistrationStatus,
} from './types.ts'

/** Longest text of an error, in characters: it goes into a header, and into the event of a pod. */
const MAX_DETAILS = 1_000

/** Options of every pool: a preference is always to be had, and devices are made ready in Allocate already. */
export const pluginOptions: DevicePluginOptions = {
  pre_start_required: false,
  get_preferred_allocation_available: true,
}

/** The things that calls work with. */
export interface CallContext {
  readonly resource: string
  readonly core: Core
  readonly streams: Streams
  readonly cdiAnnotations: boolean
  readonly observer: KubeletObserver
  readonly log: PluginLog
  /** kubelet's answer to the registration; undefined: it is accepted. */
  readonly notified: (refusal: string | undefined) => void
}

/** Calls of `v1beta1.DevicePlugin`. */
export function pluginCalls(context: CallContext): UntypedServiceImplementation {
  return {
    GetDevicePluginOptions: unary(context, 'GetDevicePluginOptions', async () => pluginOptions),
    ListAndWatch: (call: ServerWritableStream<object, ListAndWatchResponse>) => context.streams.add(call),
    GetPreferredAllocation: unary(context, 'GetPreferredAllocation', (request: PreferredAllocationRequest) =>
      prefer(context, request),
    ),
    Allocate: unary(context, 'Allocate', (request: AllocateRequest) => allocate(context, request)),
    PreStartContainer: unary(context, 'PreStartContainer', async () => ({})),
  }
}

/** Calls of `pluginregistration.Registration`. */
export function registrationCalls(context: CallContext): UntypedServiceImplementation {
  const info: PluginInfo = {
    type: 'DevicePlugin',
    name: context.resource,
    // Empty: kubelet goes on with the socket that it has found, wherever its folder is mounted in our container.
    endpoint: '',
    supported_versions: ['v1beta1'],
  }
  return {
    GetInfo: unary(context, 'GetInfo', async () => info),
    NotifyRegistrationStatus: unary(
      context,
      'NotifyRegistrationStatus',
      async ({ plugin_registered, error }: RegistrationStatus) => {
        context.notified(plugin_registered ? undefined : error || 'kubelet gave no reason')
        return {}
      },
    ),
  }
}

/** Never fails: an error here would fail the admission of a pod. */
async function prefer(
  { core, resource, log }: CallContext,
  { container_requests }: PreferredAllocationRequest,
): Promise<PreferredAllocationResponse> {
  const container_responses = container_requests.map((one) => {
    const { available_deviceIDs: available, must_include_deviceIDs: required, allocation_size: count } = one
    try {
      return { deviceIDs: core.prefer(resource, available, required, count) }
    } catch (error) {
      log.error(`Cannot choose devices of ${resource}: kubelet chooses`, {
        ...{ resource, error: errorText(error) },
      })
      return { deviceIDs: [] }
    }
  })
  return { container_responses }
}

async function allocate(
  { core, resource, cdiAnnotations }: CallContext,
  { container_requests }: AllocateRequest,
): Promise<AllocateResponse> {
  const container_responses = []
  // kubelet sends one. Each is made ready before the next one is looked at.
  for (const { devices_ids } of container_requests)
    container_responses.push(
      containerAnswer(await core.allocate(resource, devices_ids), resource, cdiAnnotations),
    )
  return { container_responses }
}

function unary<Q, A>(
  { resource, observer, log }: CallContext,
  method: string,
  answer: (request: Q) => Promise<A>,
): handleUnaryCall<Q, A> {
  return (call, done) => {
    const started = performance.now()
    const over = (code: keyof typeof status) =>
      observer.onRpc(method, resource, performance.now() - started, code)
    answer(call.request).then(
      (value) => {
        over('OK')
        done(null, value)
      },
      (error: unknown) => {
        const code = error instanceof AllocationRefused ? 'FAILED_PRECONDITION' : 'INTERNAL'
        const details = errorText(error).slice(0, MAX_DETAILS)
        log[code === 'INTERNAL' ? 'error' : 'warn'](`${method}: ${details}`, { resource, method, code })
        over(code)
        done({ code: status[code], details })
      },
    )
  }
}
