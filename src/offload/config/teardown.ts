/** The keys that DEL and GC read. The tables of keys are not loaded for them. */
import type { Request } from '../../cni/request.ts'
import { type JsonObject, normalise } from '../../lib/json.ts'
import { isFolderPath } from '../../lib/path.ts'
import { defaultStateDir } from '../../records/store.ts'

/** Reads the keys of DEL and GC; never fails. */
export function readTeardown(request: Request): { readonly stateDir: string; readonly gcLive: boolean } {
  const config = normalise(request.config, { stateDir: true, gcLive: true })
  return { stateDir: stateDirOf(config), gcLive: config.gcLive === true }
}

/** The state folder, the default one in place of a value that an ADD refuses. */
export function stateDirOf(config: JsonObject): string {
  return typeof config.stateDir === 'string' && isFolderPath(config.stateDir)
    ? config.stateDir
    : defaultStateDir
}
