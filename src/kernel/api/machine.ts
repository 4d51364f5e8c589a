import type { Kernel } from './kernel.ts'

/**
 * An open network namespace; keeps it alive until closed. `id` is device and inode of its nsfs file, which the kernel gives
 * to the next namespace once this one is gone; `cookie` is its alone (SO_NETNS_COOKIE, Linux 5.14).
 */
export interface OpenNetns {
  readonly fd: number
  readonly id: string
  readonly cookie?: string | undefined
  /** The namespace that this process runs in: no pod's. */
  readonly isHost?: boolean
  readonly path: string
  close(): void
}

/** The end of a program that {@link Machine.startProgram} has started. */
export interface ProgramEnd {
  /** Exit code; null if it did not start or a signal ended it. */
  readonly status: number | null
  /** Name of the signal; null without one. */
  readonly signal: string | null
  readonly stdout: string
  /** Undefined if the program wrote to this process's stderr. */
  readonly stderr?: string | undefined
  /** Set if it did not start (`code` is the errno's name) or printed too much (ENOBUFS; it was ended). */
  readonly error?: (Error & { readonly code?: string }) | undefined
}

/** The node around a plugin: what reaches libc. Taken as a parameter, so that all above it also runs without Bun. */
export interface Machine {
  /** Folder for what all attachments of the node share: a lock and notes, worth nothing after a boot. */
  readonly sharedDir: string
  /** Opens the kernel's two sides; without `pod` only the host's. */
  openKernel(pod?: OpenNetns): Kernel
  /** Throws with ENOENT when `path` is gone and EINVAL when it is no network namespace. */
  openNetns(path: string): OpenNetns
  /**
   * Runs `action` under an exclusive lock; throws LockTimeout after `milliseconds`. `held` is the descriptor that has it: a child
   * that gets it keeps the lock, too.
   */
  withLock<T>(path: string, milliseconds: number, action: (held?: number) => T): T
  /**
   * Starts a program with `stdin` as its input and `env` as its whole environment, and does not wait. It has descriptor `held` as number
   * 3. `end` waits for its end, and must be called once. Never throws.
   */
  startProgram(
    file: string,
    stdin: string,
    env: Readonly<Record<string, string>>,
    held?: number,
  ): { end(): ProgramEnd }
  /** Changes with every boot (random/boot_id of procfs). */
  bootId(): string
  /** SHA-256 of a text, as hex. */
  sha256(text: string): string
  /** Blocks for `milliseconds`. */
  sleep(milliseconds: number): void
}
