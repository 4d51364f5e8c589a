// As test/lab/portmap/own-connections.test.ts, with 2,000 connections of the node and 500 of a masqueraded pod over the whole range of
// ports that the kernel gives out by itself, and 24 mapped ones in it. Takes minutes in emulation: part of `npm run test:soak` alone.
import { describeOwnConnections } from '../../support/own-connections.ts'

describeOwnConnections({
  ...{ node: 2000, masqueraded: 500, range: [32_768, 60_999] },
  mapped: Array.from({ length: 24 }, (_, at) => 33_001 + at * 1100),
})
