/**
 * Follows a config file through swaps of a ConfigMap, in any engine: the program runs in Bun, and tests run in Node. Prints, as JSON,
 * the contents that were told, and how many files the process has open before and after.
 *
 *     sh hack/bun.sh test/device-plugin/config/watch-swaps.ts SWAPS
 */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { FileRead } from '../../../device-plugin/config/config-file.ts'
import { watchConfig } from '../../../device-plugin/config/watch-config.ts'

const swaps = Number(process.argv[2])
const folder = mkdtempSync(join(tmpdir(), 'vf-swaps-'))
const file = join(folder, 'config.json')
const told: FileRead[] = []
const openFiles = () => readdirSync('/proc/self/fd').length

function publish(number: number): void {
  mkdirSync(join(folder, `..${number}`))
  writeFileSync(join(folder, `..${number}`, 'config.json'), `${number}`)
  symlinkSync(`..${number}`, join(folder, '..data_tmp'))
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
  if (number > 0) rmSync(join(folder, `..${number - 1}`), { recursive: true })
}

/** Waits for a content; ends without one when nothing comes for ten seconds. */
async function isTold(number: number): Promise<void> {
  for (let round = 0; round < 2000; round++) {
    const last = told.at(-1)
    if (last !== undefined && 'text' in last && last.text === `${number}`) return
    await setTimeout(5)
  }
}

publish(0)
symlinkSync(join('..data', 'config.json'), file)
const watch = watchConfig(file, (read) => told.push(read), { settle: 1, poll: 1e9 })
let before = 0
for (let number = 1; number <= swaps; number++) {
  publish(number)
  await isTold(number)
  if (number === 1) before = openFiles()
}
const after = openFiles()
watch.close()
rmSync(folder, { recursive: true })
console.log(JSON.stringify({ told, before, after }))
