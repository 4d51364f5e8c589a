// A client asks a port of the node for a page, with the patience that a pod which just came needs. In: a node with a wire. Out: the page.
import { HOST } from '../../bed/topology.ts'
import type { Lab } from '../../lab.ts'

/** The page at `path` of a port of the node, as a client in `namespace` gets it. @throws an error of the node with the words of curl */
export async function askNode(lab: Lab, namespace: string, port: number, path: string): Promise<string> {
  const url = `http://${HOST.v4}:${port}${path}`
  const command = `ip netns exec ${namespace} curl -sS --fail -m 20 --retry 20 --retry-connrefused --retry-delay 1 '${url}'`
  return (await lab.must(command)).trim()
}
