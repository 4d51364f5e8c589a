// An action of a hostile pod, as data. In: nothing. Out: the form of an action, and where it can be tried.

/** Kinds of device for a pod: software natively, the others in the virtual machine. */
export type Kind = 'veth' | 'dummy' | 'igb' | 'simnic'

/** Groups of the table in docs/results/2026-11-28-hostile-pods.md. */
export type Group =
  | 'flags'
  | 'features'
  | 'programs'
  | 'uppers'
  | 'altnames'
  | 'numbers'
  | 'hiding'
  | 'look-alikes'
  | 'tc and nft'
  | 'sysctls'
  | 'crowding'

/**
 * One action of a pod. `script` runs as root in the pod's namespace, by `sh -e`, with `net1`, `$MAC` and `$NUMBER` of the device,
 * `$HOME_NAME` (its name on the host), `$OTHER` (another device's name there), `$FREE` (a number that is free on the host),
 * `$POD` (the path of its namespace), `$POD_PL` (pod.pl), and the functions of {@link PRELUDE}.
 */
export interface Action {
  readonly name: string
  readonly group: Group
  readonly script: string
  /** The answer of CHECK afterwards: nothing, an error that names this, or anything. */
  readonly check: 'passes' | 'either' | RegExp
  /** Devices that the action fits; all if absent. */
  readonly kinds?: readonly Kind[]
  /** A loop of the action beside a DEL makes sense. */
  readonly races?: true
  /** A process outside of the pod keeps the result of the action. */
  readonly outlives?: true
}

/** The folder of the scripts and of the processes that they keep running, in the guest. */
export const HOSTILE_FOLDER = '/tmp/hostile'

/**
 * Functions for scripts. `keep COMMAND...` starts a process of the pod that stays until the pod ends. `outlive COMMAND...` starts one
 * that stays until the scenario ends. `held COMMAND...` is keep for pod.pl, and waits until pod.pl holds its object. `child` makes a
 * namespace of the pod's own and prints its path; `child outlive` makes one that outlives the pod.
 */
export const PRELUDE = `
keep() { setsid "$@" >/dev/null 2>&1 </dev/null & echo $! >>${HOSTILE_FOLDER}/kept; }
outlive() { setsid "$@" >/dev/null 2>&1 </dev/null & echo $! >>${HOSTILE_FOLDER}/outliving; }
pl() { perl "$POD_PL" "$@"; }
held() {
  keep perl "$POD_PL" "$@"
  for try in $(seq 200); do
    [ ! -e ${HOSTILE_FOLDER}/held.$! ] || return 0
    kill -0 $! 2>/dev/null || return 1
    sleep 0.02
  done
  return 1
}
child() {
  \${1:-keep} unshare -n sleep 1000
  for try in $(seq 200); do
    [ "$(readlink /proc/$!/ns/net)" = "$(readlink /proc/self/ns/net)" ] || break
    sleep 0.01
  done
  C=/proc/$!/ns/net
}
`

/** `ip` commands in the namespace that `child` has made. */
export const IN_CHILD = 'nsenter --net=$C'

const SOFTWARE: readonly Kind[] = ['veth', 'dummy']
/** Devices with a driver. */
export const HARDWARE: readonly Kind[] = ['igb', 'simnic']
/** All devices but a veth, because the kernel of the veth's machine lacks a feature of the action. */
export const IN_MACHINE: readonly Kind[] = ['dummy', 'igb', 'simnic']
/** Things that vf-attach takes back from its pod only as long as the pod lives. */
export function isSoftware(kind: Kind): boolean {
  return SOFTWARE.includes(kind)
}
