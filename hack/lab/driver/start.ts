// The one program of the tests in the guest: `driver traffic ...`, `driver rate ...`, `driver kubelet ...`, or the driver itself, which reads its
// steps from standard input. One file, so that its pages are read and translated once for all of them; compiled, since
// from the sources each start takes three times as long.
export {}

const [program] = process.argv.slice(2)
if (program === 'traffic' || program === 'rate' || program === 'kubelet') {
  process.argv.splice(2, 1)
  if (program === 'traffic') await import('./traffic-guest.ts')
  else if (program === 'rate') await import('./rate-guest.ts')
  else await import('../kubelet/guest.ts')
} else {
  await import('./main.ts')
}
