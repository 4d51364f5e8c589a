/** ADDs that are taken back by the plugin's own DEL, in the same call. */
import { CniError, code } from '../error.ts'
import type { Request } from '../request.ts'
import type { Plugin } from './plugin.ts'

/** Takes back an ADD after `failure`. Never throws: `warn` gets a line for what could not be taken back. */
export function takeBack(
  plugin: Plugin,
  request: Request,
  failure: CniError,
  warn: (line: string) => void,
): void {
  warn(`${plugin.name}: ${failure.message}; the ADD is undone`)
  try {
    plugin.del(asDel(request))
  } catch (second) {
    warn(`${plugin.name}: Cannot undo the ADD: ${wordsOf(second)}`)
  }
}

/**
 * Removes what the attachment has, whoever made it: the worker that had this ADD is dead, and it may have got anywhere.
 * @throws CniError 11 with both reasons
 */
export function takeBackLost(plugin: Plugin, request: Request): void {
  const remove = plugin.removeLost ?? plugin.del
  try {
    remove(asDel(request))
  } catch (cause) {
    throw new CniError(
      code.tryAgainLater,
      'Cannot repeat the ADD: the worker of vf-agent that served it has died, and what it left could not be taken back',
      { details: wordsOf(cause), cause },
    )
  }
}

function asDel(request: Request): Request {
  return { ...request, command: 'DEL', env: { ...request.env, CNI_COMMAND: 'DEL' } }
}

function wordsOf(thrown: unknown): string {
  const { message, details } = CniError.from(thrown)
  return details === undefined ? message : `${message}: ${details}`
}
