// hack/lab has it, because benches use it, too.
export * from '../../../hack/lab/fake-root/big-node.ts'
