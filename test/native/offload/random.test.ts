// vf-offload in random sequences with crashes and with random configs, for pods behind a bridge. docs/testing.md says how to
// replay.
// needs: veth, bridge, nft, tbf
import { describeRandom } from '../../soak/random-suite.ts'

describeRandom({ nic: 'veth', kinds: ['bridge'], sequences: 50, configs: 50 })
