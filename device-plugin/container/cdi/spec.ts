/**
 * CDI specs as text (specification 0.5.0: `hostPath` of device nodes, names that begin with a digit). Pure. A spec is valid only with
 * a device in it, and a device only with edits (`Device.validate` in pkg/cdi of its library): one bad device makes the library pass
 * over the whole file.
 */
import * as z from 'zod/mini'
import type { DeviceNode } from '../access.ts'
import { isCdiDevice } from './names.ts'

/** The files of one device of a spec. */
export type Devices = ReadonlyMap<string, readonly DeviceNode[]>

/** A spec of ours. */
export interface Spec {
  readonly kind: string
  /** By id. */
  readonly devices: Devices
}

const version = '0.5.0'

const nodeForm = z.strictObject({
  path: z.string().check(z.minLength(1)),
  hostPath: z.optional(z.string().check(z.minLength(1))),
  permissions: z.string().check(z.regex(/^[rwm]+$/)),
})
const form = z.strictObject({
  cdiVersion: z.string(),
  kind: z.string(),
  devices: z.array(
    z.strictObject({
      name: z.string().check(z.refine(isCdiDevice)),
      containerEdits: z.strictObject({ deviceNodes: z.array(nodeForm).check(z.minLength(1)) }),
    }),
  ),
})

/** The text of a spec, its devices by id; undefined when no device has files. */
export function specText({ kind, devices }: Spec): string | undefined {
  const entries = [...devices]
    .filter(([id, nodes]) => nodes.length > 0 && isCdiDevice(id))
    .sort(([left], [right]) => (left < right ? -1 : 1))
  if (entries.length === 0) return undefined
  const spec: z.infer<typeof form> = {
    cdiVersion: version,
    kind,
    devices: entries.map(([name, nodes]) => ({
      name,
      containerEdits: {
        deviceNodes: nodes.map(({ hostPath, containerPath, permissions }) => ({
          path: containerPath,
          hostPath,
          permissions,
        })),
      },
    })),
  }
  return JSON.stringify(spec)
}

/** Reads a spec of ours; undefined for a text that is none. */
export function readSpec(text: string): Spec | undefined {
  const parsed = form.safeParse(jsonOf(text))
  if (!parsed.success) return undefined
  const { kind, devices } = parsed.data
  return {
    kind,
    devices: new Map(
      devices.map(({ name, containerEdits: { deviceNodes } }) => [
        name,
        deviceNodes.map(({ path, hostPath = path, permissions }) => ({
          hostPath,
          containerPath: path,
          permissions,
        })),
      ]),
    ),
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
