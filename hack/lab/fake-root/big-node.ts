// A node with many VFs: the one on which times and memory are measured.
import { FakeRoot } from './fake-root.ts'

/** A fake root with `pfs` PFs of igb (0000:3a:00.0, 0000:3c:00.0, ...; two NUMA nodes), each with `vfs` VFs, all with interfaces. */
export function bigNode(pfs: number, vfs: number): FakeRoot {
  const root = new FakeRoot()
  for (let pf = 0; pf < pfs; pf++) {
    const address = pfAddress(pf)
    root.addPf({
      ...{ address, driver: 'igb', numaNode: pf < pfs / 2 ? 0 : 1, totalVfs: vfs, offset: 128, stride: 1 },
      netdevs: [{ name: `ens${pf}` }],
    })
    root.setVfs(address, vfs, (index) => ({
      ...{ driver: 'igbvf', netdevs: [{ name: `ens${pf}v${index}` }], iommuGroup: 100 + pf * 256 + index },
    }))
  }
  return root
}

/** Address of the PF with a number of {@link bigNode}. */
export function pfAddress(pf: number): string {
  return `0000:${(0x3a + 2 * pf).toString(16)}:00.0`
}
