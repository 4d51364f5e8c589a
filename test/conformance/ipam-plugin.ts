/**
 * The smallest CNI plugin on our protocol: it has no device, only addresses. Compiled by the tests like the real
 * executable, so that delegation is tried in the runtime it will run in, on any machine.
 */
import { readFileSync, writeSync } from 'node:fs'
import { ipamAdd, ipamCheck, ipamDel, ipamGc, ipamStatus } from '../../src/cni/delegate.ts'
import { type Plugin, runPlugin } from '../../src/cni/dispatch.ts'
import { startProgram as spawn } from '../../src/kernel/linux/programs.ts'

const plugin: Plugin = {
  name: 'ipam-plugin',
  about: 'CNI plugin ipam-plugin: hands out addresses for no interface',
  add: (request) => ipamAdd(request, spawn) ?? request.prevResult ?? {},
  del: (request) => ipamDel(request, spawn),
  check: (request) => ipamCheck(request, spawn),
  gc: (request) => ipamGc(request, spawn),
  status: (request) => ipamStatus(request, spawn),
}

process.exitCode = runPlugin(() => plugin, {
  env: process.env,
  sameNetns: (path) => path === '/proc/self/ns/net',
  readStdin: () => readFileSync(0, 'utf8'),
  writeStdout: (text) => writeSync(1, text),
  writeStderr: (text) => writeSync(2, text),
})
