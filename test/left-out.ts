/**
 * Lab tests that `npm test` leaves out, with the reason, which it prints at its end. VF_TEST_LEFT_OUT=1 runs them too, in
 * the form that `npm test` would run them in; VF_TEST_ALL=1 runs everything in its long form. A file leaves this list when
 * it has passed, twice in a row, on an idle machine with two cores.
 */
export const leftOut: readonly { readonly file: string; readonly reason: string }[] = [
  {
    file: 'simnic-rates',
    reason:
      'all but one test passed in two runs on a busy machine, some at the second one; that one (policers by index) failed at words of tc alone; not run whole since',
  },
  {
    file: 'offload-coexist',
    reason:
      '8 of 9 passed in a row; the traffic behind an ingress qdisc failed, because a program that drops every frame had stayed on XDP; not run whole since',
  },
  {
    file: 'offload-scenarios-switchdev',
    reason:
      'passed on a busy machine but for ten DELs at once (P29), which come again since when told to; not run whole since',
  },
  {
    file: 'offload-scenarios-veth',
    reason:
      'passed on a busy machine but for thirty DELs at once (P30), which come again since when told to; not run whole since',
  },
  { file: 'offload-scenarios-legacy', reason: 'passed whole once, on a busy machine; not twice yet' },
  { file: 'offload-scenarios-igb', reason: 'passed whole once, on a busy machine; not twice yet' },
  { file: 'offload-random', reason: 'passed outside the lab only; not run in the lab to its end yet' },
  {
    file: 'offload-faults',
    reason: 'passed once on a VF in switchdev mode, each step struck once, on a busy machine; not twice yet',
  },
  {
    file: 'offload-crowd',
    reason:
      '12 minutes on a busy machine; no filter was left, but reports of lost records were, which GC takes now: not run since',
  },
  {
    file: 'rates-veth',
    reason:
      'passed whole once, with limits of a fifth, on a very busy machine; counters of vfctl and two tests are new; not twice yet',
  },
  {
    file: 'rates-vf',
    reason:
      'with limits of a fifth the looks passed, but for one on igb at a rate that its PF does not keep, and asks for another one since; not run whole since',
  },
  {
    file: 'rates-switchdev',
    reason:
      'the looks and B14 passed with limits of a fifth; what vfctl counts, policers of any rate and a rate of the PF are new; not run whole since',
  },
  { file: 'rates-mlx5', reason: 'passed whole once, on a busy machine; not twice yet' },
  {
    file: 'rates-kinds',
    reason:
      'passed whole once, on a busy machine; measures by processes that stay since; not run in the lab with them yet',
  },
  {
    file: 'rates-faults',
    reason: 'passed whole once, in seven and a half minutes on a very busy machine; not twice yet',
  },
]

/** The files to leave out now, as paths from the top. */
export function excluded(env: Readonly<Record<string, string | undefined>>): string[] {
  const runsThem = env.VF_TEST_ALL === '1' || env.VF_TEST_LEFT_OUT === '1'
  return runsThem ? [] : leftOut.map(({ file }) => `test/lab/${file}.test.ts`)
}
