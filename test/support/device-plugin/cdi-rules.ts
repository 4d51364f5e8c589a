/**
 * The rules for CDI specs, written from the specification 0.5.0 and from what the library behind containerd and CRI-O refuses: it
 * passes over a whole file for one fault, and over a name that two files of a folder define.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { z } from 'zod'

const vendor = /^[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?$/
const deviceName = /^[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?$/

const spec = z.strictObject({
  cdiVersion: z.literal('0.5.0'),
  kind: z.string().refine((kind) => {
    const [left = '', right = '', ...rest] = kind.split('/')
    return vendor.test(left) && vendor.test(right) && !right.includes('.') && rest.length === 0
  }),
  devices: z
    .array(
      z.strictObject({
        name: z.string().regex(deviceName),
        containerEdits: z.strictObject({
          deviceNodes: z
            .array(
              z.strictObject({
                path: z.string().startsWith('/dev/'),
                hostPath: z.string().startsWith('/dev/'),
                permissions: z.string().regex(/^[rwm]+$/),
              }),
            )
            .min(1),
        }),
      }),
    )
    .min(1),
})

/** The faults of all specs in a folder, in words; none for a folder that a runtime can use whole. */
export function faultsOf(folder: string): readonly string[] {
  const faults: string[] = []
  const owners = new Map<string, string>()
  for (const [file, text] of filesOf(folder)) {
    const parsed = spec.safeParse(jsonOf(text))
    if (!parsed.success) {
      faults.push(`${file}: ${z.prettifyError(parsed.error)}`)
      continue
    }
    for (const { name } of parsed.data.devices) {
      const qualified = `${parsed.data.kind}=${name}`
      const owner = owners.get(qualified)
      if (owner !== undefined) faults.push(`${qualified}: in ${owner} and ${file}`)
      owners.set(qualified, file)
    }
  }
  return faults
}

/** The devices that a runtime finds in a folder: paths on the node, by qualified name. Files with faults have none. */
export function cdiDevices(folder: string): ReadonlyMap<string, readonly string[]> {
  return new Map(
    filesOf(folder).flatMap(([, text]) => {
      const parsed = spec.safeParse(jsonOf(text))
      if (!parsed.success) return []
      return parsed.data.devices.map(({ name, containerEdits }) => [
        `${parsed.data.kind}=${name}`,
        containerEdits.deviceNodes.map(({ hostPath }) => hostPath),
      ])
    }),
  )
}

function filesOf(folder: string): (readonly [string, string])[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
    .map((name) => [name, readFileSync(`${folder}/${name}`, 'utf8')])
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
