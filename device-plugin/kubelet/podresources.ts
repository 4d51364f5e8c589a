/** The devices in use, as kubelet's podresources service lists them: the source with names of pods. */
import { Client, credentials, type ServiceDefinition } from '@grpc/grpc-js'
import * as z from 'zod/mini'
import { type Holding, type HoldingSource, SourceUnavailable } from '../allocations/holding.ts'
import { podResourcesPackage } from './podresources-messages.ts'

/** Longest answer, in bytes. */
const mostBytes = 16 << 20
/** Time for an answer, in milliseconds. */
const patience = 5_000

/** As the decoder leaves an answer: every field is there. */
const answerForm = z.object({
  pod_resources: z.array(
    z.object({
      ...{ name: z.string(), namespace: z.string() },
      containers: z.array(
        z.object({
          name: z.string(),
          devices: z.array(z.object({ resource_name: z.string(), device_ids: z.array(z.string()) })),
        }),
      ),
    }),
  ),
})

/**
 * The source `podresources` at a socket, which is `pod-resources/kubelet.sock` below kubelet's folder. Each question opens a
 * connection of its own, so a kubelet that was started anew is found at once.
 */
export function podResources(socket: string): HoldingSource {
  return {
    name: 'podresources',
    read: async () => {
      try {
        return holdingsOf(answerForm.parse(await list(socket)))
      } catch (error) {
        throw new SourceUnavailable(`Cannot list devices at "${socket}": ${wordsOf(error)}`)
      }
    },
  }
}

function holdingsOf({ pod_resources }: z.infer<typeof answerForm>): Holding[] {
  return pod_resources.flatMap(({ name, namespace, containers }) =>
    containers.flatMap((container) =>
      container.devices.flatMap(({ resource_name, device_ids }) =>
        device_ids.map((device) => ({
          ...{ resource: resource_name, device },
          pod: { namespace, name },
          container: container.name,
        })),
      ),
    ),
  )
}

let service: ServiceDefinition | undefined

function list(socket: string): Promise<unknown> {
  service ??= podResourcesPackage()['v1.PodResourcesLister'] as ServiceDefinition
  const method = service.List
  if (method === undefined) throw new SourceUnavailable('the layout has no List')
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': mostBytes,
    // The failures of other connections to the same path do not count.
    'grpc.use_local_subchannel_pool': 1,
  })
  return new Promise<unknown>((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      {},
      { deadline: Date.now() + patience },
      (error, value) => (error === null ? resolve(value) : reject(error)),
    )
  }).finally(() => client.close())
}

function wordsOf(error: unknown): string {
  if (error instanceof z.core.$ZodError)
    return `the answer has another form: ${error.issues[0]?.message ?? ''}`
  if (error instanceof Error && 'details' in error && typeof error.details === 'string') return error.details
  return error instanceof Error ? error.message : String(error)
}
