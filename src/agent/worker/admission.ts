import { fstatSync, statSync } from 'node:fs'
import { peerOf } from '../../sys/unix-socket.ts'
import type { IncomingCall } from './incoming.ts'

/**
 * The reason for which the worker does not serve a call; undefined if it does. The worker must see the same files, namespaces and rights
 * as the shim, or its answer would differ from the one that the shim's own program gives.
 * @param connection the shim's connection, on which the kernel tells who it is
 */
export function refusalOf(connection: number, { env, netns }: IncomingCall): string | undefined {
  const { uid, pid } = peerOf(connection)
  if (uid !== 0) return 'the caller is not root'
  if (pid === 0) return 'the caller is in another PID namespace'
  return isSameNetns(env.CNI_NETNS ?? '', netns) ? undefined : 'CNI_NETNS leads to another place here'
}

/** True if the path leads the worker to the namespace that it led the shim to, or both to nothing. */
function isSameNetns(path: string, netns: number | undefined): boolean {
  if (path === '') return netns === undefined
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined || netns === undefined) return (found === undefined) === (netns === undefined)
  const { dev, ino } = fstatSync(netns)
  return found.dev === dev && found.ino === ino
}
