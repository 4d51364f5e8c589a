// vf-offload in a few random sequences with crashes and with random configs, on VFs of a simulated NIC in switchdev mode
// (simnic, from source, not hardware), where a call does most. test/native/offload/random.test.ts has many behind a bridge;
// VF_TEST_ALL=1 runs all kinds of port here, as `npm run test:soak` does. docs/testing.md says how to replay.
import { describeRandom } from '../../soak/random-suite.ts'

describeRandom({
  nic: 'simnic',
  kinds: process.env.VF_TEST_ALL === '1' ? ['bridge', 'simnic-legacy', 'simnic-full'] : ['simnic-full'],
  sequences: 2,
  configs: 4,
})
