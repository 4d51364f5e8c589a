// For `npm run test:watch`: builds the executable and the test driver again when their sources change, and runs the files again that
// start them. Vitest itself follows imports only: it runs unit tests again, and sees no use of compiled programs.
import { execFile } from 'node:child_process'
import { watch } from 'node:fs'
import { join, relative } from 'node:path'
import type { Vite, Vitest } from 'vitest/node'

const top = join(import.meta.dirname, '../..')
const SOURCES = ['src', 'device-plugin', 'hack/lab/driver']
/** Editors write several times when they save once. */
const SETTLE_MS = 200

/** A plugin of vitest; idle unless vitest watches. VF_WATCH_FILES has the words of the command line that choose files. */
export function rebuildWhenChanged(): Vite.Plugin {
  let isWatching = false
  return {
    name: 'rebuild-when-changed',
    configureVitest({ vitest }) {
      if (!vitest.config.watch || isWatching) return
      isWatching = true
      watchSources(vitest)
    },
  }
}

function watchSources(vitest: Vitest): void {
  let timer: NodeJS.Timeout | undefined
  const changed = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => build(vitest), SETTLE_MS)
  }
  for (const folder of SOURCES) watch(join(top, folder), { recursive: true }, changed)
}

function build(vitest: Vitest): void {
  const argv = [join(top, 'hack/bun.sh'), join(top, 'hack/build.ts'), '--with-tests']
  execFile('sh', argv, { cwd: top }, (error, _stdout, stderr) => {
    if (error === null) void rerun(vitest)
    else console.error(`The build failed: ${stderr}`)
  })
}

async function rerun(vitest: Vitest): Promise<void> {
  const words = (process.env.VF_WATCH_FILES ?? '').split(' ').filter(Boolean)
  // All files take a minute; name a file to get an answer sooner.
  if (words.length === 0) {
    console.log(
      'built dist; name a file of test/native or test/conformance to have it run again after a build',
    )
    return
  }
  const all = await vitest.globTestSpecifications(words)
  const compiled = all.filter(({ moduleId }) => /^test\/(native|conformance)\//.test(relative(top, moduleId)))
  if (compiled.length > 0) await vitest.rerunTestSpecifications(compiled)
}
