// Runs a program in a call whose stderr is part of its answer, and in one of a process of its own. Prints the ends as JSON.
import { startProgram } from '../../../src/kernel/linux/programs.ts'
import { inCall, ownProcess } from '../../../src/lib/call/call.ts'

const run = (script: string) => startProgram('/bin/sh', script, { PATH: '/usr/bin:/bin' }).end()
const inWorker = inCall({ env: {}, hooks: ownProcess, stderr: () => undefined }, () =>
  run('echo collected >&2; echo out'),
)
const own = { ...ownProcess, stderr: () => undefined }
const inProcess = inCall({ env: {}, hooks: own, stderr: () => undefined }, () => run('echo at once >&2'))
const long = run('exec cat /dev/zero')
console.log(
  JSON.stringify({ inWorker, inProcess, long: long.error, missing: startProgram('/nowhere', '', {}).end() }),
)
