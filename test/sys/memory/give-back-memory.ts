/**
 * Gives memory back, in Bun, which runs the program: `madvise` is libc's. Prints, as JSON, the pages of files that lie in memory
 * before and after, in KiB (`RssFile` of proc_pid_status(5)), and that code still runs.
 *
 *     sh hack/bun.sh test/sys/memory/give-back-memory.ts
 */
import { readFileSync } from 'node:fs'
import { collectGarbage, giveBackMemory } from '../../../src/sys/memory/memory.ts'

const pages = () => Number(/RssFile:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])

const before = pages()
collectGarbage()
// Both ways: pages alone, and compiled code before.
giveBackMemory(Number.POSITIVE_INFINITY)
const after = pages()
giveBackMemory(0)
await new Promise((resolve) => setTimeout(resolve, 300))
console.log(JSON.stringify({ before, after, sum: [1, 2, 3].reduce((sum, one) => sum + one, 0) }))
