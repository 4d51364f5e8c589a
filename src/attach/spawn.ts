import { type Spawn, spawnChild } from '../cni/delegate.ts'
import { faultPoint } from '../ops/fault.ts'

/** Runs the IPAM plugin, as a step that tests can make fail. */
export const countedSpawn: Spawn = (file, stdin, env) => {
  faultPoint('ipam', 'before')
  const ended = spawnChild(file, stdin, env)
  faultPoint('ipam', 'after')
  return ended
}
