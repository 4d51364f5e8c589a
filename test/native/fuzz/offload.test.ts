// vf-offload called with what nobody should call it with: configs, environments, descriptors, limits, records, folders that are
// wrong in some way. It answers as the protocol says, and a call that fails has changed nothing. docs/testing.md says how to
// replay a case.
// needs: veth, ifb, nft
import { test } from 'vitest'
import { expectFuzz } from '../../support/fuzz/suite.ts'

test(
  'spoilt calls of vf-offload are answered, and those that fail change nothing',
  { timeout: 86_400_000 },
  () => expectFuzz('vf-offload', 150),
)
