// The programs that make a cluster of a server and a node: controllers and scheduler, which the user brings. In: a Lab, a server. Out: their end.
import type { Lab } from '../../lab.ts'
import { ACCOUNTS_KEY, type Cluster } from './cluster.ts'
import { type Server, startServer } from './server.ts'

/** Paths of the programs. */
export interface ControllerPrograms {
  readonly controllerManager: string
  readonly scheduler: string
}

/** Starts both. @throws SimulatorError with the last words of the one that does not serve */
export async function startControllers(
  lab: Lab,
  cluster: Cluster,
  { controllerManager, scheduler }: ControllerPrograms,
): Promise<Server> {
  const manager = await startServer(
    lab,
    [
      ...[controllerManager, ...flagsOf(cluster.kubeconfig('controllers')), '--secure-port=10257'],
      // Each controller has the rights of its own role, and none more.
      ...['--use-service-account-credentials=true', `--service-account-private-key-file=${ACCOUNTS_KEY}`],
    ],
    'https://127.0.0.1:10257/healthz',
  )
  try {
    const other = await startServer(
      lab,
      [scheduler, ...flagsOf(cluster.kubeconfig('scheduler')), '--secure-port=10259'],
      'https://127.0.0.1:10259/healthz',
    )
    return {
      end: async () => {
        await other.end()
        await manager.end()
      },
    }
  } catch (error) {
    await manager.end()
    throw error
  }
}

function flagsOf(kubeconfig: string): readonly string[] {
  return [`--kubeconfig=${kubeconfig}`, '--bind-address=127.0.0.1', '--leader-elect=false']
}
