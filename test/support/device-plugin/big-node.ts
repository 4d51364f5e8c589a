// The big node of hack/lab, which benchmarks use too.
export { bigNode, pfAddress } from '../../../hack/lab/fake-root/big-node.ts'
