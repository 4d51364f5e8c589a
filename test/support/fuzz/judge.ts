// The rules that hold for any call, however spoilt. In: the call, how it ended. Out: lines that say what does not hold.
// Pure.
import type { RealCall } from './draft.ts'

/** The end of a call. */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  /** Milliseconds of wall-clock time. */
  readonly ms: number
  /** The largest resident set, in MB. */
  readonly memory: number
}

/** Milliseconds after which a call counts as hung and is killed. */
export const HUNG_MS = 20_000
const MEMORY_MB = 400

/** The JSON object that a call printed; undefined if it printed none. */
export function objectOf({ stdout }: Ended): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(stdout)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

/** Things that a call with this environment and these descriptors has done and that none may do. */
export function judge({ env, shell = '' }: RealCall, ended: Ended): string[] {
  const { code, signal, stdout, stderr, ms, memory } = ended
  if (ms >= HUNG_MS) return [`hung for ${HUNG_MS / 1000} s`]
  if (signal !== null) return [`was ended by ${signal}: ${short(stderr)}`]
  const lines: string[] = []
  if (code !== 0 && code !== 1) lines.push(`exit code ${code}: ${short(stderr)}`)
  if (memory > MEMORY_MB) lines.push(`took ${memory} MB`)
  // Frames of a stack show an unexpected error.
  if (/^ +at .+[:(]\d+/m.test(stderr)) lines.push(`printed a stack: ${short(stderr)}`)
  if (!canAnswer(shell)) return lines
  lines.push(...(code === 0 ? success(env.CNI_COMMAND, ended) : failure(ended)))
  if (code === 0 && env.CNI_COMMAND === undefined && stdout !== '') lines.push('told about itself on stdout')
  return lines
}

/** True if the program's stdout can be seen. */
export function canAnswer(shell: string): boolean {
  const redirections = shell.split('; ').filter((line) => line.startsWith('exec '))
  return !redirections.flatMap((line) => line.split(' ')).some((one) => /^1?>|^1</.test(one))
}

function success(verb = '', ended: Ended): string[] {
  const object = objectOf(ended)
  if (['ADD', 'VERSION'].includes(verb)) {
    if (object === undefined) return [`${verb} succeeded and printed no object: ${short(ended.stdout)}`]
    if ('code' in object) return [`${verb} succeeded and printed an error: ${short(ended.stdout)}`]
    return typeof object.cniVersion === 'string' ? [] : [`no cniVersion: ${short(ended.stdout)}`]
  }
  return ended.stdout === '' ? [] : [`${verb} succeeded and printed ${short(ended.stdout)}`]
}

function failure(ended: Ended): string[] {
  const object = objectOf(ended)
  if (object === undefined)
    return [`failed without an error object: "${short(ended.stdout)}", ${short(ended.stderr)}`]
  const { code, msg, cniVersion } = object
  const lines: string[] = []
  // The words of an IPAM plugin are passed on with its own code.
  const isOthers = typeof msg === 'string' && msg.startsWith('IPAM plugin "')
  const isKnown = isOthers ? isCode(code, 0xffffffff) : isCode(code, 999) && code !== 199
  if (!isKnown) lines.push(`failed with code ${JSON.stringify(code)}: ${short(String(msg))}`)
  if (typeof msg !== 'string' || msg === '') lines.push(`failed without words: ${short(ended.stdout)}`)
  if (typeof cniVersion !== 'string') lines.push(`an error without cniVersion: ${short(ended.stdout)}`)
  if (ended.stdout.length > 20_000) lines.push(`an error of ${ended.stdout.length} characters`)
  return lines
}

function isCode(code: unknown, highest: number): boolean {
  return typeof code === 'number' && Number.isInteger(code) && code >= 1 && code <= highest
}

function short(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}...` : text.trimEnd()
}
