/** Labels of SELinux, which say what a program may execute. A new file has that of its folder, until restorecon(8) is asked. */
import { isThere } from '../sys/files.ts'

/** Gives the files at these paths the labels that the policy has for the paths; returns the reason why it failed, undefined on success. */
export type Restorecon = (paths: readonly string[]) => string | undefined

/** A file of the file system of SELinux, which is mounted where the kernel has a policy (is_selinux_enabled(3)). */
const enforce = '/sys/fs/selinux/enforce'

/** True where SELinux is active. A container sees that file system read-only or not at all, so ask in the node's mount namespace. */
export function hasSelinux(): boolean {
  return isThere(enforce)
}

/** Labels files, and keeps what failed: plugins may work all the same. */
export class Labels {
  readonly #restorecon: Restorecon
  readonly #without: string[] = []
  #refusal: string | undefined

  constructor(restorecon: Restorecon) {
    this.#restorecon = restorecon
  }

  give(paths: readonly string[]): void {
    const refusal = this.#restorecon(paths)
    if (refusal === undefined) return
    this.#refusal ??= refusal
    this.#without.push(...paths)
  }

  /** A line for people about all that failed. */
  notes(): readonly string[] {
    if (this.#refusal === undefined) return []
    return [
      `SELinux is active, and restorecon (package policycoreutils) failed: ${this.#refusal}. Files have the labels of their folders: run "restorecon -v ${this.#without.join(' ')}", or containerd and systemd may not be allowed to execute them`,
    ]
  }
}
