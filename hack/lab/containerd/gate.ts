// Plugins that stop a call of a runtime in its middle: shell scripts that hold ADD while a file is there, and note each call. In: a Lab.
// Out: texts of plugins, and the hand on the gate.
import { WAIT_UNTIL } from '../bed/topology.ts'
import type { Lab } from '../lab.ts'

const FOLDER = '/run/gate'

/** The beginning of both scripts: reads the config, notes the call, and holds an ADD at a closed gate. */
const HOLD = `#!/bin/sh
mkdir -p ${FOLDER}
input=$(cat)
name=\${0##*/}
echo "$CNI_COMMAND $CNI_CONTAINERID" >>${FOLDER}/$name.calls
if [ "$CNI_COMMAND" = ADD ] && [ -e ${FOLDER}/$name.closed ]; then
  touch ${FOLDER}/$name.reached
  while [ -e ${FOLDER}/$name.closed ]; do sleep 0.02; done
fi
`

/** A plugin for the middle or the end of a chain: hands prevResult on. libcni writes keys in the order of the alphabet. */
export const GATE = `${HOLD}case $CNI_COMMAND in
  ADD) printf '%s' "$input" | sed 's/.*"prevResult":\\(.*\\),"type":.*/\\1/' ;;
  VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}' ;;
esac
`

/** An IPAM plugin: host-local behind a gate. */
export const GATED_IPAM = `${HOLD}printf '%s' "$input" | exec \${0%/*}/host-local
`

/** Closes the gate of the plugin `name`: the next ADD stops there. */
export async function closeGate(lab: Lab, name: string): Promise<void> {
  await lab.must(`mkdir -p ${FOLDER}; touch ${FOLDER}/${name}.closed; rm -f ${FOLDER}/${name}.reached`)
}

/** Waits until an ADD stands at the gate. */
export async function gateReached(lab: Lab, name: string): Promise<void> {
  await lab.must(`${WAIT_UNTIL}
    wait_until test -e ${FOLDER}/${name}.reached`)
}

/** Lets all go on. */
export async function openGate(lab: Lab, name: string): Promise<void> {
  await lab.must(`rm -f ${FOLDER}/${name}.closed`)
}

/** Verbs that the plugin `name` was called with for a container, in order; for the container `''` those about none. */
export async function callsAt(lab: Lab, name: string, container: string): Promise<string[]> {
  const out = await lab.must(`sed -n 's/ ${container}$//p' ${FOLDER}/${name}.calls 2>/dev/null || true`)
  return out.split('\n').filter(Boolean)
}
