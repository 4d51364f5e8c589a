/**
 * A node that is full: pods behind veth pairs on a bridge, each with an address, a port mapping and a limit by vf-offload, and sockets of
 * the node's own programs. Functions say what to make, for whoever makes it elsewhere; as a program this file makes all of it in the
 * namespaces that it runs in, says "ready" when it is there, and keeps the sockets until its stdin ends.
 *
 *     sh hack/bun.sh hack/lab/bed/crowd.ts PODS SOCKETS FOLDER-OF-PROGRAMS
 */
import { createSocket, type Socket } from 'node:dgram'
import { createServer, type Server } from 'node:net'

/** A bridge takes 1,023 ports. */
export const mostPods = 1_000
/** The bridge of the crowd, with the addresses of the node there. */
export const crowdBridge = { name: 'crowd0', v4: '10.20.0.1' } as const
/** The sockets of the node's programs are on ports from here on, as many of TCP as of UDP. */
const firstSocketPort = 20_000
/** Pod N is mapped to this port and N. */
const firstHostPort = 10_000

/** A pod of the crowd. Its number, from 1 on, gives it an interface on the host, an address and a port. */
export interface CrowdPod {
  readonly name: string
  readonly netns: string
  readonly address: string
  readonly hostPort: number
}

/** The pod with a number from 1 to {@link mostPods} + 1: the last one is for whoever asks for the cost of one more. */
export function crowdPod(number: number): CrowdPod {
  const name = `crowd-${number}`
  const address = `10.20.${(number + 1) >> 8}.${(number + 1) & 255}`
  return { name, netns: `/run/netns/${name}`, address, hostPort: firstHostPort + number }
}

/** Lines for `ip -batch` that make the pods with these numbers, and the bridge before the first one. */
export function crowdLinks(numbers: readonly number[]): string {
  const { name: bridge, v4 } = crowdBridge
  const lines = numbers.flatMap((number) => {
    const { name } = crowdPod(number)
    const link = `cw${number}`
    return [
      `netns add ${name}`,
      `link add ${link} type veth peer name eth0 netns ${name}`,
      `link set ${link} master ${bridge} up`,
    ]
  })
  const made = [
    `link add ${bridge} type bridge mcast_snooping 0`,
    `link set ${bridge} up`,
    `addr add ${v4}/16 dev ${bridge}`,
  ]
  return `${(numbers[0] === 1 ? [...made, ...lines] : lines).join('\n')}\n`
}

/** Lines for `ip -batch -netns` of the pod. */
export function crowdInside(number: number): string {
  const { address } = crowdPod(number)
  return `link set lo up\nlink set eth0 up\naddr add ${address}/16 dev eth0\nroute add default via ${crowdBridge.v4}\n`
}

/** The wishes of a pod: one mapping, and a limit where `hasLimit`. */
export function crowdConfig(number: number, hasLimit = number % 2 === 0): Record<string, unknown> {
  const { netns, address, hostPort } = crowdPod(number)
  const gateway = crowdBridge.v4
  return {
    ...{ cniVersion: '1.0.0', name: 'crowd', type: 'vf-offload' },
    runtimeConfig: {
      portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }],
      ...(hasLimit ? { bandwidth: { ingressRate: 1_000_000_000, ingressBurst: 80_000_000 } } : {}),
    },
    prevResult: {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0', sandbox: netns }],
      ips: [{ address: `${address}/16`, gateway, interface: 0 }],
      routes: [{ dst: '0.0.0.0/0' }],
    },
  }
}

/** The environment of a call for a pod. */
export function crowdEnvironment(command: string, number: number): Record<string, string> {
  const { name, netns } = crowdPod(number)
  return {
    ...{ CNI_COMMAND: command, CNI_CONTAINERID: name, CNI_NETNS: netns, CNI_IFNAME: 'eth0' },
    ...{ CNI_PATH: '/nowhere', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  }
}

/** Adds of pods run so many at once. */
const atOnce = 4

/** Makes pods 1 to `pods` in this process's namespaces, and has the program attach them. @throws CrowdError */
export async function makeCrowd(pods: number, programs: string): Promise<void> {
  const numbers = Array.from({ length: pods }, (_, at) => at + 1)
  run(['ip', '-batch', '-'], crowdLinks(numbers))
  await inTurns(numbers, async (number) => {
    await started(['ip', '-n', crowdPod(number).name, '-batch', '-'], crowdInside(number))
    await started(
      [`${programs}/vf-offload`],
      JSON.stringify(crowdConfig(number)),
      crowdEnvironment('ADD', number),
    )
  })
}

/** Opens sockets of TCP that listen and sockets of UDP that wait, at 127.0.0.1. Whoever has them closes them. */
export async function openSockets(count: number): Promise<{ close(): void }> {
  const opened: (Server | Socket)[] = []
  for (let at = 0; at < count; at++) {
    const port = firstSocketPort + (at >> 1)
    opened.push(
      await new Promise<Server | Socket>((resolve, reject) => {
        if (at % 2 === 0) {
          const server = createServer()
          server.once('error', reject).listen(port, '127.0.0.1', () => resolve(server))
        } else {
          const socket = createSocket('udp4')
          socket.once('error', reject).bind(port, '127.0.0.1', () => resolve(socket))
        }
      }),
    )
  }
  return { close: () => opened.forEach((one) => void one.close()) }
}

/** A command of the bed failed. */
export class CrowdError extends Error {
  override readonly name = 'CrowdError'
}

async function inTurns(numbers: readonly number[], action: (number: number) => Promise<void>): Promise<void> {
  const left = [...numbers]
  const worker = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await action(next)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}

function run(command: readonly string[], input: string): void {
  const ended = Bun.spawnSync([...command], { stdin: new TextEncoder().encode(input), stderr: 'pipe' })
  if (ended.exitCode !== 0) throw new CrowdError(`${command.join(' ')}: ${ended.stderr}`)
}

async function started(
  command: readonly string[],
  input: string,
  env: Record<string, string> = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
): Promise<void> {
  const child = Bun.spawn([...command], {
    ...{ stdin: new TextEncoder().encode(input), stdout: 'pipe', stderr: 'pipe', env },
  })
  const [code, out, err] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  if (code !== 0) throw new CrowdError(`${command.join(' ')}: ${out}${err}`)
}

if (import.meta.main) {
  const [pods = '', sockets = '', programs = ''] = process.argv.slice(2)
  await makeCrowd(Number(pods), programs)
  const open = await openSockets(Number(sockets))
  console.log('ready')
  await Bun.stdin.text()
  open.close()
}
