// Files, folders and relative links of a tree that stands for sysfs. Links are relative, so the tree may be mounted anywhere.
import { lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** A folder of plain files; all paths are relative to `top`. */
export class SysfsTree {
  readonly top: string
  /** Folders that surely are there. */
  private readonly made = new Set<string>()

  constructor(top: string) {
    this.top = top
  }

  path(inside: string): string {
    return join(this.top, inside)
  }

  folder(inside: string): void {
    if (this.made.has(inside)) return
    mkdirSync(this.path(inside), { recursive: true })
    this.made.add(inside)
  }

  /** Writes a value as sysfs shows one: with a newline behind it. */
  value(inside: string, value: string | number): void {
    this.folder(dirname(inside))
    writeFileSync(this.path(inside), `${value}\n`)
  }

  values(folder: string, values: Readonly<Record<string, string | number | undefined>>): void {
    for (const [name, value] of Object.entries(values))
      if (value !== undefined) this.value(`${folder}/${name}`, value)
  }

  read(inside: string): string {
    return readFileSync(this.path(inside), 'utf8').trimEnd()
  }

  /** Makes a link that leads to `target`, or leads it there. */
  link(inside: string, target: string): void {
    this.folder(dirname(inside))
    rmSync(this.path(inside), { force: true })
    symlinkSync(relative(dirname(this.path(inside)), this.path(target)), this.path(inside))
  }

  remove(inside: string): void {
    if (lstatSync(this.path(inside), { throwIfNoEntry: false }) === undefined) return
    rmSync(this.path(inside), { recursive: true })
    this.made.clear()
  }
}
