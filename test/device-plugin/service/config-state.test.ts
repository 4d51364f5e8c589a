// The config in use changes with each content that has no mistake. Another content leaves it as it is, and its mistakes are told with
// their places, one by one.
import { expect, test } from 'vitest'
import { ConfigKeeper } from '../../../device-plugin/config-state.ts'

const text = (...names: readonly string[]) => ({
  text: JSON.stringify({ resourceList: names.map((resourceName) => ({ resourceName, selectors: [{}] })) }),
})
const pools = ({ config }: ConfigKeeper) => config.pools.map(({ resource }) => resource)

test('begins without pools, and takes each content', () => {
  const keeper = new ConfigKeeper('test.org')
  expect([pools(keeper), keeper.state.generation]).toEqual([[], 0])
  expect(keeper.take(text('a'))).toBe(true)
  expect(keeper.take(text('a', 'b'))).toBe(true)
  expect([pools(keeper), keeper.state]).toEqual([
    ['test.org/a', 'test.org/b'],
    { generation: 2, readAt: expect.any(Number), problems: [], warnings: 0 },
  ])
})

test('keeps the former config, and has a sentence for each mistake', () => {
  const keeper = new ConfigKeeper('test.org')
  keeper.take(text('a'))
  expect(keeper.take(text('b/c', 'b', 'b'))).toBe(false)
  expect(pools(keeper)).toEqual(['test.org/a'])
  expect([keeper.state.generation, keeper.state.problems]).toEqual([
    1,
    [
      expect.stringMatching(/^line 1, column \d+: resourceList\[0\]\.resourceName is "b\/c"; must be /),
      expect.stringMatching(
        /^line 1, column \d+: resourceList\[2\]\.resourceName makes "test.org\/b", which /,
      ),
    ],
  ])
  expect(keeper.take({ problem: 'Cannot read the file' })).toBe(false)
  expect([pools(keeper), keeper.state.problems]).toEqual([['test.org/a'], ['Cannot read the file']])
  expect(keeper.take(text())).toBe(true)
  expect([pools(keeper), keeper.state.problems]).toEqual([[], []])
})
