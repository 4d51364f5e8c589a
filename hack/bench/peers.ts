/**
 * The Go plugins that ours are compared with: those that the distribution installs, and the newest ones of Debian sid, which are unpacked and
 * never installed. In: nothing. Out: folders.
 */
import { join } from 'node:path'
import { execa } from 'execa'
import { unpackedPackage } from '../lab/packages.ts'

const PACKAGE = 'containernetworking-plugins'

/** The plugins of one version. */
export interface Peer {
  /** Version of the plugins, e.g. `1.1.1`. */
  readonly version: string
  /** The folder that holds the programs. */
  readonly folder: string
}

/** The plugins that are installed. @throws Error of dpkg-query if none are */
export async function installedPeer(): Promise<Peer> {
  const { stdout } = await execa('dpkg-query', ['-W', PACKAGE])
  return { version: upstream(stdout.split('\t')[1] ?? ''), folder: '/usr/lib/cni' }
}

/** The newest plugins. Without network the newest ones of the cache. @throws AptError if there are none in the cache either */
export async function newestPeer(): Promise<Peer> {
  const { version, folder } = unpackedPackage(`${PACKAGE}/sid`)
  return { version: upstream(version), folder: join(folder, 'usr/lib/cni') }
}

/** `1.1.1` of `1.1.1+ds1-3+b17`. */
function upstream(version: string): string {
  return /^(?:\d+:)?(\d+(?:\.\d+)*)/.exec(version)?.[1] ?? version
}
