// The program that renders the manifests: Debian's kubectl, unpacked into the cache. In: nothing. Out: its path, or the reason why there is none.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { cacheFolder, unpackedOnce } from '../../../hack/lab/kernel.ts'

/** The program, or the reason why it can't be had. */
export type Kubectl = { readonly file: string } | { readonly reason: string }

/** That of the cache; else it is downloaded, with the lists of packages made anew where these are missing. */
export async function findKubectl(folder = join(cacheFolder(), 'kubectl')): Promise<Kubectl> {
  const file = join(folder, 'usr/bin/kubectl')
  if (existsSync(file)) return { file }
  try {
    await unpackedOnce(folder, ['kubectl']).catch(async () => {
      await execa('apt-get', ['-q', 'update'])
      await unpackedOnce(folder, ['kubectl'])
    })
    return { file }
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    return { reason: `there is no kubectl: ${words.replaceAll(/\s+/g, ' ').slice(0, 300)}` }
  }
}
