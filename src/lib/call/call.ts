/**
 * The call that this process serves. A worker of the agent serves many calls, one after the other, and no call may see anything of
 * another one. So all that changes from call to call hangs on the call: its environment, its stderr, its log, its counters. One function
 * begins and ends a call ({@link inCall}). Outside of a call, as in `vfctl`, the process itself takes its place.
 */
import type { OfKind } from '../error-kind.ts'

/** The reason for which a call waits for others. */
export type WaitReason = 'ipam' | 'lock' | 'kernel'

/** The means by which a call speaks with the process that serves it. */
export interface CallHooks {
  /** True once nobody waits for the answer any more. */
  isCallerGone(): boolean
  /** The call begins to wait. */
  waits(on: WaitReason): void
  /** The call goes on after a wait. */
  works(): void
  /** Ends the process that serves the call; without it the process ends with its caller by itself. `reason` is for people. */
  leave?(reason: string): void
  /** Takes a text for standard error at once; without it the text is part of the answer. */
  stderr?(text: string): void
}

/** The parts of a call that all layers may ask for. */
export interface Call {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly hooks: CallHooks
  /** Takes a text for the caller's standard error. */
  stderr(text: string): void
}

/** Hooks of a process that serves its only call: the process dies with its caller. */
export const ownProcess: CallHooks = {
  isCallerGone: () => false,
  waits: () => undefined,
  works: () => undefined,
}

interface State {
  readonly call: Call | undefined
  /** Run when the call ends, the last one first. */
  readonly ends: (() => void)[]
  /** Set in an ADD while its changes are still wanted by nobody but its caller. */
  isCancellable: boolean
}

/** The only variable of the program that says which call is served. */
let state: State = fresh(undefined)

function fresh(call: Call | undefined): State {
  return { call, ends: [], isCancellable: false }
}

/**
 * Runs `action` as a call, and ends the call: whatever was made for it is forgotten, whatever it left open is closed.
 * @throws the errors of `action`
 */
export function inCall<T>(call: Call, action: () => T): T {
  const outside = state
  const own = fresh(call)
  state = own
  try {
    return action()
  } finally {
    try {
      for (const end of own.ends.reverse()) end()
    } finally {
      state = outside
    }
  }
}

/** Returns a function that gives the value of the present call. `make` makes it when a call first asks. */
export function perCall<T extends object>(make: () => T): () => T {
  const values = new WeakMap<State, T>()
  return () => {
    const known = values.get(state)
    if (known !== undefined) return known
    const value = make()
    values.set(state, value)
    return value
  }
}

/** Runs `end` when the present call ends. Outside of a call it never runs. */
export function atCallEnd(end: () => void): void {
  if (state.call !== undefined) state.ends.push(end)
}

/** The environment of the present call. */
export function callEnvironment(): Readonly<Record<string, string | undefined>> {
  return state.call?.env ?? process.env
}

/** Hands a text to the caller's standard error; false outside of a call, where the process has a standard error of its own. */
export function tellCaller(text: string): boolean {
  state.call?.stderr(text)
  return state.call !== undefined
}

/** True if the texts of the present call for standard error are part of its answer. */
export function isStderrCollected(): boolean {
  return state.call !== undefined && state.call.hooks.stderr === undefined
}

/** Says to the process that serves the call that `action` waits for others. */
export function waiting<T>(on: WaitReason, action: () => T): T {
  const hooks = state.call?.hooks
  hooks?.waits(on)
  try {
    return action()
  } finally {
    hooks?.works()
  }
}

/**
 * Ends the process if the caller is gone, as the end of a process of its own: what is under way stays as it is, with its record, for the
 * DEL that follows. For waits that others can make as long as they like.
 */
export function leaveWithoutCaller(reason: string): void {
  const hooks = state.call?.hooks
  if (hooks?.leave !== undefined && hooks.isCallerGone()) hooks.leave(reason)
}

/** Nobody waits for the answer of this ADD any more. `stuck` says what could not be taken back. */
export class CallerGone extends Error implements OfKind {
  readonly kind = 'caller-gone'
  readonly stuck: readonly string[]

  constructor(stuck: readonly string[] = []) {
    super('The caller of this ADD is gone: what was done is taken back')
    this.name = 'CallerGone'
    this.stuck = stuck
  }
}

/** Runs the changes of an ADD: from here on {@link isUnwanted} asks for the caller. */
export function cancellable<T>(action: () => T): T {
  const own = state
  own.isCancellable = true
  try {
    return action()
  } finally {
    own.isCancellable = false
  }
}

/**
 * True in an ADD whose caller is gone. Always false in other verbs, and in what takes an ADD back: they go on without a caller, but for
 * waits ({@link leaveWithoutCaller}).
 */
export function isUnwanted(): boolean {
  return state.isCancellable && state.call?.hooks.isCallerGone() === true
}

/** @throws CallerGone in an ADD whose caller is gone */
export function requireCaller(): void {
  if (isUnwanted()) throw new CallerGone()
}
