// A node that lacks the program nft, while an action runs; its kernel keeps nf_tables. In: a lab. Out: the answer of the action.
import type { Lab } from '../../hack/lab/lab.ts'

const program = '/usr/sbin/nft'

/** See the head of this file. */
export async function withoutNft<T>(lab: Lab, action: () => Promise<T>): Promise<T> {
  await lab.must(`mv ${program} ${program}.away`)
  try {
    return await action()
  } finally {
    await lab.must(`mv ${program}.away ${program}`)
  }
}
