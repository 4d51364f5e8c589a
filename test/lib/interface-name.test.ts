import { expect, test } from 'vitest'
import { isInterfaceName } from '../../src/lib/interface-name.ts'

test.each(['a', 'net1', 'enp59s0f0v1', 'a.b', '...', '123456789012345', 'é%d', 'a@b'])(
  '%j is one',
  (name) => {
    expect(isInterfaceName(name)).toBe(true)
  },
)

test.each(['', '.', '..', '1234567890123456', 'ééééééééé', 'a/b', 'a:0', 'a b', 'a\tb', 'a\n'])(
  '%j is none',
  (name) => {
    expect(isInterfaceName(name)).toBe(false)
  },
)
