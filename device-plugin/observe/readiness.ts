/** Readiness: everything that keeps the device plugin from serving its pools, as sentences. Pure. */
import type { View } from './view.ts'

/** Reasons for not being ready, a line each; empty when ready. */
export function unready({ config, snapshot, pools, status, failure }: View): readonly string[] {
  const known = new Map(status.map((one) => [one.resource, one]))
  return [
    ...(config.generation === 0 && config.problems.length === 0 ? ['no config was read yet'] : []),
    ...config.problems.map((problem) => `config: ${oneLine(problem)}`),
    ...(snapshot === undefined ? ['the first scan of the node has not come to its end'] : []),
    ...(failure === undefined ? [] : [`the last look at the node failed: ${oneLine(failure)}`]),
    ...pools.flatMap(({ resource }) => {
      const { registered = false, streams = 0, standby = false, problem } = known.get(resource) ?? {}
      // In an upgrade the old process leaves when the new one is ready, and kubelet takes the new one when the old one has left.
      if ((registered && streams > 0) || standby) return []
      const words = registered ? 'kubelet holds no stream open' : 'not registered with kubelet'
      return [`${resource}: ${words}${problem === undefined ? '' : `: ${oneLine(problem)}`}`]
    }),
  ]
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, '; ')
}
