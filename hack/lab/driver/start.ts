// The one program of the tests in the guest: `driver traffic ...`, another of `programs`, or the driver itself, which reads its steps
// from standard input. One file, so that its pages are read and translated once for all of them; compiled, since from the
// sources each start takes three times as long.
export {}

const programs: Readonly<Record<string, () => Promise<unknown>>> = {
  traffic: () => import('./traffic-guest.ts'),
  rate: () => import('./rate-guest.ts'),
  watch: () => import('./watch-guest.ts'),
  kubelet: () => import('../kubelet/guest.ts'),
  recorder: () => import('../kubelet/recorder-guest.ts'),
  'front-end': () => import('./front-end-guest.ts'),
  calls: () => import('./calls-guest.ts'),
  place: () => import('./place-guest.ts'),
  cri: () => import('../containerd/cri-guest.ts'),
}

const program = programs[process.argv[2] ?? '']
if (program === undefined) await import('./main.ts')
else {
  process.argv.splice(2, 1)
  await program()
}
