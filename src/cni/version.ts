import { shown } from '../lib/json.ts'
import { CniError, code } from './error.ts'

/** All versions of the CNI specification, oldest first; every plugin of ours serves all of them. */
export const supportedVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const

export type CniVersion = (typeof supportedVersions)[number]

/** The newest version that we serve. */
export const currentVersion = '1.1.0' satisfies CniVersion

/** A config without cniVersion is from the time before the key existed. */
export const versionWhenAbsent = '0.1.0' satisfies CniVersion

/** First version of the specification that has the command; the others have been there from the start. */
const since: Readonly<Record<string, CniVersion>> = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' }

/** True for a version of the specification that we serve. */
export function isSupported(version: string): version is CniVersion {
  return (supportedVersions as readonly string[]).includes(version)
}

/**
 * Refuses a config version that we don't serve, or in which the command does not exist. Messages and order are those
 * of the Go skeleton (containernetworking/cni pkg/skel), on which runtimes match.
 *
 * @throws CniError 1; 6 for a version that isn't numbers and dots where they must be compared.
 */
export function checkVersion(version: string, command: string): void {
  const first = since[command]
  if (first !== undefined) {
    if (compare(version, first) < 0) throw incompatible(`config version does not allow ${command}`)
    if (compare(version, currentVersion) > 0) throw incompatible(`plugin version does not allow ${command}`)
  }
  if (isSupported(version)) return
  const ours = JSON.stringify(supportedVersions).replaceAll(',', ' ')
  throw incompatible('incompatible CNI versions', `config is ${shown(version)}, plugin supports ${ours}`)
}

function incompatible(msg: string, details?: string): CniError {
  return new CniError(code.incompatibleVersion, msg, { details })
}

function compare(a: string, b: string): number {
  const left = numbers(a)
  const right = numbers(b)
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function numbers(version: string): number[] {
  if (!/^[0-9]{1,9}(\.[0-9]{1,9}){0,2}$/.test(version)) {
    throw new CniError(
      code.decodeFailure,
      `Cannot use cniVersion ${shown(version)}: must be like "${currentVersion}"`,
    )
  }
  return version.split('.').map(Number)
}
