// The node keeps its own connections beside port mappings on a card: ports in the range that the kernel takes theirs from. Most
// of a narrow range, so that few connections meet mapped ports as often as thousands would; test/soak/lab has thousands.
import { describeOwnConnections } from '../../support/own-connections.ts'

describeOwnConnections({
  ...{ node: 100, masqueraded: 60, range: [50_000, 50_049] },
  mapped: [50_005, 50_011, 50_024, 50_040],
})
