// Looks at src/sys, at what of src/offload needs a disturbed kernel, and at the inventory of the device plugin. In: arguments of a test; out: plain values.
// Every exported function can be called by its name.
import { readdirSync, readlinkSync } from 'node:fs'
import type { Request } from '../../../src/cni/request.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import { linuxMachine } from '../../../src/kernel/linux-machine.ts'
import { removeFlowFilters } from '../../../src/kernel/tc/flow-filters.ts'
import { findOwnFilters } from '../../../src/kernel/tc/own-filters.ts'
import { NetlinkSocket } from '../../../src/netlink/socket.ts'
import { featuresOf } from '../../../src/offload/features.ts'
import { removeAttachment as removeIt } from '../../../src/offload/verbs/del.ts'
import type { FlowFilter } from '../../../src/ops/op.ts'
import { offloadJournal } from '../../../src/records/offload.ts'
import { recordStore } from '../../../src/records/store.ts'
import { attachmentLock } from '../../../src/run-cni/attachment-lock.ts'
import * as files from '../../../src/sys/files.ts'
import { withByteLock } from '../../../src/sys/lock/byte-lock.ts'
import { withLock } from '../../../src/sys/lock/flock.ts'
import { openNetns, withNetns } from '../../../src/sys/namespaces.ts'
import { openNetlink } from '../../../src/sys/netlink.ts'
import { isOwnNetns } from '../../../src/sys/own-netns.ts'

export { networkOf, takeInventory } from './inventory.ts'
export { trafficOf } from './traffic.ts'

const namespace = () => readlinkSync('/proc/thread-self/ns/net')

/** The thread's namespace before, inside and after a visit to `path`; with `fails` the visit ends with an error. */
export function visit(
  path: string,
  fails: boolean,
): { before: string; inside: string; after: string; id: string; own: boolean; thrown: string } {
  const before = namespace()
  const target = openNetns(path)
  let inside = ''
  let own = true
  let thrown = ''
  try {
    withNetns(target, () => {
      inside = namespace()
      own = isOwnNetns(path)
      if (fails) throw new Error('the visit failed')
    })
  } catch (error) {
    thrown = error instanceof Error ? error.message : String(error)
  } finally {
    target.close()
  }
  return { before, inside, after: namespace(), id: target.id, own, thrown }
}

/** Runs `argv` while holding the lock; its exit code, null if a signal ended it. */
export function lockAndRun(path: string, milliseconds: number, argv: string[]): number | null {
  return withLock(path, milliseconds, () => Bun.spawnSync(argv).exitCode)
}

/** Runs `argv` while holding the lock of an attachment; its exit code, null if a signal ended it. */
export function lockAttachmentAndRun(containerID: string, ifname: string, argv: string[]): number | null {
  const lock = attachmentLock(linuxMachine, containerID, ifname)
  return withByteLock(lock, 0, () => Bun.spawnSync(argv).exitCode)
}

/** Takes the lock, gives it to a child that runs `argv`, and leaves it to that one. */
export function lockAndHandOn(path: string, milliseconds: number, argv: string[]): void {
  withLock(path, milliseconds, (held) => {
    Bun.spawn(argv, { stdio: ['ignore', 'ignore', 'ignore', held] }).unref()
  })
}

/** Replaces a file; nothing else of this process touches it. */
export function replaceFile(path: string, text: string): void {
  files.replaceFile(path, text)
}

/** The answers of the files module for a path. */
export function look(path: string): {
  text: string | undefined
  folder: readonly string[]
  link: string | undefined
} {
  return { text: readOrName(path), folder: files.listFolder(path), link: files.linkName(path) }
}

function readOrName(path: string): string | undefined {
  try {
    return files.readText(path)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** The files that the descriptors of this process are open on. */
export function openDescriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      // The one that listed the folder.
      return []
    }
  })
}

/** Opens and closes a kernel on `path` many times, and has a visit fail each time. */
export function openAndClose(path: string, times: number): void {
  for (let i = 0; i < times; i++) {
    const pod = openNetns(path)
    const kernel = linuxMachine.openKernel(pod)
    kernel.links('pod')
    kernel.links('host')
    kernel.close()
    pod.close()
    visit(path, true)
  }
}

/** Does in the middle of our dumps what another program on the node might do: `command`, in the first `times` of them. */
export interface Disturbance {
  readonly times: number
  readonly command: readonly string[]
}

/**
 * Removes an attachment as a DEL without a record does. Returns how many filters each dump has found.
 */
export function removeAttachment(
  attachment: { network: string; containerID: string; ifname: string },
  stateDir: string,
  disturbance?: Disturbance,
): number[] {
  const counts: number[] = []
  const machine = {
    ...linuxMachine,
    openKernel: (): Kernel => {
      const kernel = linuxMachine.openKernel()
      const disturb = disturbed(disturbance)
      return {
        ...kernel,
        ownFilters: (prefix) => {
          const found = findOwnFilters(() => new NetlinkSocket(disturb()), prefix)
          counts.push(found.length)
          return found
        },
      }
    },
  }
  const { network: name, containerID, ifname } = attachment
  const request = { name, containerID, ifname, netns: '' } as Request
  const store = recordStore(stateDir, 'offload', offloadJournal)
  removeIt(
    {
      machine,
      store,
      otherStores: [],
      attachStore: { list: () => [], read: () => undefined },
      features: featuresOf('vf-offload'),
    },
    request,
    (action) => action(),
  )
  return counts
}

/** Takes a steering filter back, as a rollback does. */
export function takeBack(ifindex: number, rule: FlowFilter, disturbance: Disturbance): void {
  const socket = new NetlinkSocket(disturbed(disturbance)())
  removeFlowFilters(socket, [{ ifindex, spec: rule }])
  socket.close()
}

const RTM_GETTFILTER = 46

/** Opens transports with another program at work between the first datagram of a dump of filters and the second. */
function disturbed({ times, command }: Disturbance = { times: 0, command: [] }) {
  let left = times
  return (): ReturnType<typeof openNetlink> => {
    const transport = openNetlink(0)
    let isFirst = false
    return {
      ...transport,
      send: (message) => {
        isFirst = message[4] === RTM_GETTFILTER
        transport.send(message)
      },
      recv: () => {
        const datagram = transport.recv()
        if (isFirst && left-- > 0) run([...command])
        isFirst = false
        return datagram
      },
    }
  }
}

function run(command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command)
  if (exitCode !== 0) throw new Error(`'${command.join(' ')}' ended with code ${exitCode}: ${stderr}`)
}

export * from './raw-frames.ts'
export * from './rivals.ts'
export * from './strangers.ts'
export * from './uevents.ts'
