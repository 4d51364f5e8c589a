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
  /** Changes with every boot (random/boot_id of procfs). */
  bootId(): string
  /** SHA-256 of a text, as hex. */
  sha256(text: string): string
  /** Blocks for `milliseconds`. */
  sleep(milliseconds: number): void
}
