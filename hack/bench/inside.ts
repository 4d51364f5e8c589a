/**
 * The half of `npm run bench` that runs in namespaces of its own and prints the native tables. In: a BenchOrder as JSON, the only argument.
 */
import { join } from 'node:path'
import type { Bench, BenchOrder } from './context.ts'
import { flat } from './flat.ts'
import { herd } from './herd.ts'
import { hostDevice } from './host-device.ts'
import { limits } from './limits.ts'
import { machineLine } from './machine.ts'
import { memory } from './memory.ts'
import { canBeWarm, makeNode } from './nodes.ts'
import { ports } from './ports.ts'
import { size } from './size.ts'
import { small } from './small.ts'
import { version } from './version.ts'

const tables: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  version,
  'host-device': hostDevice,
  ports,
  limits,
  small,
  herd,
  memory,
  flat,
  size,
}

const { table, ...order } = JSON.parse(process.argv[2] ?? '') as BenchOrder
const print = tables[table]
if (print === undefined) throw new Error(`Cannot find the table ${table}`)
console.log(`\n${machineLine()}`)
const plain = await makeNode({ name: 'plain', folder: join(order.folder) })
const warm = canBeWarm() ? await makeNode({ name: 'warm', folder: order.folder, hasAgent: true }) : undefined
try {
  await print({ ...order, plain, warm })
} finally {
  await warm?.end()
  await plain.end()
}
