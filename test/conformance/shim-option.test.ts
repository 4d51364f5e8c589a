// The shim spares the engine a thread by an option in the environment, but only for the program that it was built with: an engine that
// does not know an option ends. The environment stays whole, and the runtime can't choose the option's value.
import { statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { executable } from '../support/executable.ts'
import { makeBed } from '../support/shim/bed.ts'

let bed: ReturnType<typeof makeBed>
beforeAll(() => {
  bed = makeBed('release')
})
afterAll(() => bed.remove())

const option = 'BUN_JSC_useWarmUpMarkedBlocks=0'
const bytes = statSync(executable('vf-flower')).size

/** The environment of a program of `size` bytes in the place of vf-flower. */
async function environment(size: number, env: Readonly<Record<string, string>>) {
  truncateSync(join(bed.folder, 'vf-flower'), size)
  const { program } = await bed.call({ env, input: '{}' })
  return program?.environment
}

test.each<[string, Readonly<Record<string, string>>]>([
  ['all variables are kept', { CNI_IFNAME: 'net1', PATH: '/bin' }],
  ['some variables are not kept', { HOME: '/', CNI_IFNAME: 'net1', LANG: 'C', PATH: '/bin' }],
  [
    'the runtime means another value',
    { CNI_IFNAME: 'net1', BUN_JSC_useWarmUpMarkedBlocks: '1', PATH: '/bin' },
  ],
])('the program of the build gets the option where %s', async (_, env) => {
  const { CNI_IFNAME, PATH } = env
  const kept = bed.environment({ CNI_IFNAME: CNI_IFNAME ?? '', PATH: PATH ?? '' })
  expect(await environment(bytes, env)).toEqual([...kept, option])
})

test.each([bytes - 1, bytes + 1])(
  'a program of %i bytes is another one, and gets no option',
  async (size) => {
    const env = { CNI_IFNAME: 'net1', PATH: '/bin' }
    expect(await environment(size, { ...env, HOME: '/' })).toEqual(bed.environment(env))
  },
)
