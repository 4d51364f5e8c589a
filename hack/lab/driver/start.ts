// The one program of the tests in the guest: `driver traffic ...`, `driver rate ...`, `driver kubelet ...`, `driver front-end ...`, or the driver itself, which reads its
// steps from standard input. One file, so that its pages are read and translated once for all of them; compiled, since
// from the sources each start takes three times as long.
export {}

const [program] = process.argv.slice(2)
switch (program) {
  case 'traffic':
    await begin(() => import('./traffic-guest.ts'))
    break
  case 'rate':
    await begin(() => import('./rate-guest.ts'))
    break
  case 'kubelet':
    await begin(() => import('../kubelet/guest.ts'))
    break
  case 'front-end':
    await begin(() => import('./front-end-guest.ts'))
    break
  default:
    await import('./main.ts')
}

/** Takes the program's name off its arguments. */
async function begin(load: () => Promise<unknown>): Promise<void> {
  process.argv.splice(2, 1)
  await load()
}
