// The images of a run with the manifests, without a registry: ours of two builds, and one for the examples. In: a runtime. Out: images in it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { ownArchitecture } from '../../../image/layout.ts'
import type { Containerd } from '../../containerd/containerd.ts'
import { imageArchive } from '../../containerd/image.ts'
import type { Lab } from '../../lab.ts'

const top = fileURLToPath(new URL('../../../..', import.meta.url))
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string }
/** The tag that the manifests name, and that of the next release. */
export const TAGS = { manifests: version, next: 'next' } as const
/** The image that the examples name; it serves at port 8000. */
const WEB = 'localhost/web:1'
const OURS = 'localhost/vf-flower'
/** The tests have a build of their own, with another build id. */
const BUILDS = { [TAGS.next]: 'dist/test', [TAGS.manifests]: 'dist' } as const

/** Makes the images and gives them to the runtime. Needs a build with tests. */
export async function importImages(lab: Lab, runtime: Containerd): Promise<void> {
  for (const [tag, from] of Object.entries(BUILDS)) {
    const output = join(top, 'dist/test/image', tag)
    await execa('sh', ['hack/bun.sh', 'hack/image/main.ts', '--from', from, '--output', output], { cwd: top })
    const architecture = ownArchitecture
    await runtime.sh(`ctr images import ${output}/vf-flower-${version}-${architecture}.tar`)
    // The archive has the name with this version.
    if (tag !== version)
      await runtime.sh(`ctr images tag ${OURS}:${version} ${OURS}:${tag}
      ctr images rm ${OURS}:${version}`)
  }
  // httpd as process 1 of a pod does not end by SIGTERM.
  const command = ['sh', '-c', 'trap "exit 0" TERM; httpd -f -p 8000 -h /www & wait']
  await lab.writeFile(
    '/run/web.tar',
    imageArchive(readFileSync('/usr/bin/busybox'), ownArchitecture, [WEB], command),
  )
  await runtime.sh('ctr images import /run/web.tar && rm /run/web.tar')
}
