/** The devices in use, as kubelet's podresources service lists them: the source with names of pods. */
import * as z from 'zod/mini'
import { errorText } from '../../src/lib/error-text.ts'
import { type Holding, type HoldingSource, SourceUnavailable } from '../allocations/holding.ts'
import { callKubelet } from './client.ts'

/** Longest answer, in bytes. */
const mostBytes = 16 << 20
/** Time for an answer, in milliseconds. */
const timeout = 5_000
/** The question: every pod with its devices. */
const list = { service: 'v1.PodResourcesLister', method: 'List', request: {}, timeout, mostBytes } as const

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

/** The source `podresources` at a socket, which is `pod-resources/kubelet.sock` below kubelet's folder. */
export function podResources(socket: string): HoldingSource {
  const open = new Set<() => void>()
  return {
    name: 'podresources',
    end: () => {
      for (const cancel of open) cancel()
    },
    read: async () => {
      try {
        const call = callKubelet(socket, list)
        open.add(call.cancel)
        const answer = await call.done.finally(() => open.delete(call.cancel))
        return holdingsOf(answerForm.parse(answer))
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

function wordsOf(error: unknown): string {
  if (error instanceof z.core.$ZodError)
    return `the answer has another form: ${error.issues[0]?.message ?? ''}`
  return errorText(error)
}
