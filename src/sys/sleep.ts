const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** Blocks the calling thread for `milliseconds`. Synchronous, see namespaces.ts for the reason. */
export function sleep(milliseconds: number): void {
  Atomics.wait(sleeper, 0, 0, milliseconds)
}
