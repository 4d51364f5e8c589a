// The fake root of hack/lab, which benchmarks use too.
export type * from '../../../hack/lab/fake-root/descriptions.ts'
export { FakeRoot, macOf, UnknownDevice } from '../../../hack/lab/fake-root/fake-root.ts'
