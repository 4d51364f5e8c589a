import { readdirSync, readFileSync } from 'node:fs'
import { type Plugin, runPlugin } from '../../src/cni/dispatch.ts'
import type { Result } from '../../src/cni/result.ts'
import { inCall, ownProcess } from '../../src/lib/call/call.ts'
import { type JsonObject, parse } from '../../src/lib/json.ts'

/** One call of a runtime. */
export interface Call {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly stdin?: string | (() => string)
  /** Path of the namespace in which the plugin runs, for the plugin. */
  readonly ownNetns?: string
  readonly stdout?: (text: string) => void
  /** The call is served in a worker whose shim this asks for. */
  readonly isCallerGone?: () => boolean
  readonly isLostWorker?: boolean
}

export interface Answer {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  /** stdout decoded; undefined if it is empty. */
  readonly object: JsonObject | undefined
}

/** Calls a plugin in this process, through the same dispatch as the executable. */
export function runVerb(plugin: Plugin | (() => Plugin), call: Call): Answer {
  let stdout = ''
  let stderr = ''
  const { stdin = '', env = {}, isCallerGone = () => false, isLostWorker = false } = call
  const surroundings = {
    env,
    isLostWorker,
    sameNetns: (path: string) => path === call.ownNetns,
    readStdin: () => (typeof stdin === 'string' ? stdin : stdin()),
    writeStdout: (text: string) => {
      call.stdout?.(text)
      stdout += text
    },
    writeStderr: (text: string) => {
      stderr += text
    },
  }
  const hooks = { ...ownProcess, isCallerGone }
  const exitCode = inCall({ env, hooks, stderr: surroundings.writeStderr }, () =>
    runPlugin(typeof plugin === 'function' ? plugin : () => plugin, surroundings),
  )
  return { exitCode, stdout, stderr, object: stdout === '' ? undefined : (parse(stdout) as JsonObject) }
}

/** A plugin with only the given verbs: any other verb throws. */
export function fakePlugin(verbs: Partial<Plugin>): Plugin {
  const unwanted = (verb: string) => (): never => {
    throw new Error(`${verb} was called`)
  }
  return {
    name: 'fake',
    about: 'CNI plugin fake',
    add: unwanted('ADD') as () => Result,
    del: unwanted('DEL'),
    check: unwanted('CHECK'),
    gc: unwanted('GC'),
    status: unwanted('STATUS'),
    ...verbs,
  }
}

/** Variables of an ADD; DEL and CHECK use the same with another CNI_COMMAND. */
export const addEnv = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'some-container',
  CNI_NETNS: '/var/run/netns/some',
  CNI_IFNAME: 'net1',
  CNI_PATH: '/opt/cni/bin',
} as const

/** A call that a runtime sent once: a file of test/fixtures/conf. */
export interface ConfFixture {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
}

const fixtures = new URL('../fixtures/conf/', import.meta.url)

/** All recorded calls, by file name without ending. */
export function confFixtures(): ConfFixture[] {
  const files = readdirSync(fixtures).filter((file) => file.endsWith('.txt'))
  return files.sort().map((file) => confFixture(file.slice(0, -'.txt'.length)))
}

export function confFixture(name: string): ConfFixture {
  const text = readFileSync(new URL(`${name}.txt`, fixtures), 'utf8')
  const blank = text.indexOf('\n\n')
  const lines = text
    .slice(0, blank)
    .split('\n')
    .filter((line) => !line.startsWith('#'))
  const env = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
  return { name, env, stdin: text.slice(blank + 2, -1) }
}
