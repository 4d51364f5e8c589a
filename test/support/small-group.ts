// A control group with limits on a node of the tests. In: a lab, limits. Out: words that run a program inside of the group, and what the kernel
// counted there.
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { WAIT_UNTIL } from '../../hack/lab/bed/topology.ts'
import type { Lab } from '../../hack/lab/lab.ts'

const script = fileURLToPath(new URL('../../hack/lab/group.sh', import.meta.url))
const FOLDER = '/run/groups'

/** Limits of a group. */
export interface GroupLimits {
  readonly mebibytes: number
  /** Processor time, in hundredths of one processor. */
  readonly percent: number
}

/** A group that {@link makeSmallGroup} made. */
export interface SmallGroup {
  /** Words before a program that run it inside of the group. */
  readonly front: readonly string[]
  /** Number of processes that the kernel has killed in the group for want of memory. */
  killed(): Promise<number>
  /** Waits until all processes of the group have ended, and removes it. */
  end(): Promise<void>
}

/** Makes a group. One at a time in each lab. */
export async function makeSmallGroup(lab: Lab, { mebibytes, percent }: GroupLimits): Promise<SmallGroup> {
  // Groups are the machine's, also those that a node of namespaces makes.
  const name = `vf-test-${randomUUID()}`
  const words = (verb: string) => `sh ${script} ${verb} ${FOLDER} ${name}`
  await lab.must(`${words('make')} ${mebibytes * 2 ** 20} ${percent}`)
  return {
    front: ['/bin/sh', script, 'run', FOLDER, name],
    killed: async () => Number(await lab.must(words('killed'))),
    end: async () => {
      await lab.must(`${WAIT_UNTIL}
        wait_until ${words('remove')}`)
    },
  }
}
