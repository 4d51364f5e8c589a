// The front end for kubelet, compiled: `driver front-end ROOT`. Each line on standard input is an offer, a JSON list of pools. Log lines
// go to standard output. Every device is given away, with its id in the environment. Ends with the end of its input.
import { createInterface } from 'node:readline'
import type { Core, Offer } from '../../../device-plugin/front-end.ts'
import { openKubeletFrontEnd } from '../../../device-plugin/kubelet/front-end.ts'

const print =
  (level: string) =>
  (message: string, fields: object = {}) => {
    process.stdout.write(`${JSON.stringify({ level, ...fields, message })}\n`)
  }
const core: Core = {
  prefer: (_, available, required, count) => [...required, ...available].slice(0, count),
  allocate: async (_, ids) => ({ env: { IDS: ids.join(',') }, deviceNodes: [], mounts: [], cdiNames: [] }),
}
const settings = { kubelet: process.argv[2] ?? '', instance: '' }
const log = { debug: print('debug'), info: print('info'), warn: print('warn'), error: print('error') }
const frontEnd = openKubeletFrontEnd(core, settings, log)
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => frontEnd.offer(JSON.parse(line) as Offer[]))
lines.on('close', () => void frontEnd.stop().then(() => process.exit(0)))
