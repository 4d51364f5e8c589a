// SCTP in the guest, by socat. In: where somebody listens, who sends to where. Out: whether the bytes arrived.

import { inNamespace, type Namespace, startedWhen } from '../../hack/lab/bed/traffic.ts'
import type { Lab } from '../../hack/lab/lab.ts'

/** Receives on an SCTP port of a namespace, in one family, until it is stopped. */
export interface SctpServer {
  /** Sends `text` from a namespace to an address and port, and waits until the text has arrived at this server. */
  receives(from: Namespace, address: string, port: number, text: string): Promise<void>
  stop(): Promise<void>
}

/** Starts a server; it listens when this resolves. */
export async function serveSctp(
  lab: Lab,
  namespace: Namespace,
  family: 4 | 6,
  port: number,
): Promise<SctpServer> {
  const file = `/run/sctp-${namespace}-${family}-${port}`
  await lab.must(`modprobe sctp; rm -f ${file}; : >${file}`)
  const listen = `SCTP${family}-LISTEN:${port},fork,reuseaddr${family === 6 ? ',ipv6only=1' : ''}`
  const argv = inNamespace(namespace, ['socat', '-d', '-d', '-u', listen, `OPEN:${file},append`])
  const server = await startedWhen(lab, argv, (child) => child.stderr().includes('listening on'))
  return {
    receives: async (from, address, to, text) => {
      const target = `SCTP${family}:${family === 4 ? address : `[${address}]`}:${to}`
      await lab.must(
        `printf %s "$TEXT" | ${inNamespace(from, ['timeout', '20', 'socat', '-u', '-', target]).join(' ')}
        tries=0
        until grep -qF "$TEXT" ${file}; do
          tries=$((tries + 1)); [ $tries -lt 200 ] || { echo "nothing arrived" >&2; exit 1; }; sleep 0.05
        done`,
        { env: { TEXT: text } },
      )
    },
    stop: async () => {
      server.kill('SIGKILL')
      await server.wait()
      await lab.must(`rm -f ${file}`)
    },
  }
}
