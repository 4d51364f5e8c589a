// The archive of one platform. In: the programs of a build and their parts. Out: entries of an archive, and its bill of materials.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { notices } from '../image/notices.ts'
import { licenceTexts } from '../image/npm.ts'
import { requireOneBuild } from '../image/rootfs.ts'
import { type Contents, sbom } from '../image/sbom.ts'
import type { Entry } from '../image/tar.ts'

/** The parts of an archive. */
export interface Parts extends Omit<Contents, 'files' | 'kind' | 'debian'> {
  /** The folder that all entries are in. */
  readonly name: string
  readonly programs: { readonly program: Uint8Array; readonly shim: Uint8Array }
  /** The checkout, with the licence and `node_modules`. */
  readonly root: string
}

/** Names of the program that are no plugins, as hack/build.ts has them. */
const links = ['vfctl', 'vf-agent', 'vf-device-plugin'] as const

/**
 * The entries are those of `dist`, as `vf-flower install` wants them beside itself, with the licences of all that is in the program.
 * @throws ImageError for programs of two builds or of another processor, NpmError
 */
export function archiveEntries(parts: Parts): { readonly entries: readonly Entry[]; readonly bill: string } {
  requireOneBuild(parts)
  const { name, root, programs } = parts
  const contents = { ...parts, kind: 'archive', debian: [] } as const
  const own = [
    ['vf-flower', programs.program],
    ['vf-attach', programs.shim],
  ] as const
  const bill = sbom({ ...contents, files: new Map(own) })
  const text = (path: string, value: string | Uint8Array): Entry => ({
    ...{ path: `${name}/${path}`, kind: 'file', bytes: Buffer.from(value) },
  })
  const entries: readonly Entry[] = [
    ...own.map(
      ([path, bytes]) => ({ path: `${name}/${path}`, kind: 'file', bytes, mode: 0o755 }) satisfies Entry,
    ),
    // One file for both: the name of the call decides.
    { path: `${name}/vf-offload`, kind: 'name', target: `${name}/vf-attach` },
    ...links.map((path) => ({ path: `${name}/${path}`, kind: 'link', target: 'vf-flower' }) satisfies Entry),
    text('README.md', readme(parts)),
    text('LICENSE', readFileSync(join(root, 'LICENSE'))),
    text('LICENSES.md', notices(contents)),
    text('sbom.spdx.json', bill),
    ...parts.npm.flatMap((one) =>
      [...licenceTexts(one, root)].map(([file, bytes]) =>
        text(`npm/${one.name}-${one.version}/${file}`, bytes),
      ),
    ),
  ]
  return { entries, bill }
}

/** The page of who has nothing but the archive. */
function readme({ version, architecture, libc }: Parts): string {
  const needs =
    libc === 'musl' ? '`vf-flower` needs musl and the C++ library; on Alpine: `apk add libstdc++`.\n\n' : ''
  return `# vf-flower ${version} for linux/${architecture} with ${libc}

The CNI plugins \`vf-attach\` and \`vf-offload\` for SR-IOV virtual functions, with the agent that keeps them loaded, the device
plugin for Kubernetes, and \`vfctl\`, which shows what they have made. As root, in this folder:

    ./vf-flower install --dry-run      says what would be done
    ./vf-flower install
    ./vf-flower --help

The installer takes \`vf-attach\` from beside itself, so keep these files together until then. Afterwards the folder can go, and
\`vf-flower uninstall\` takes back what was installed.

${needs}The documents are in the sources of this version, from docs/install.md on. LICENSES.md names all parts of the program with
their licences; sbom.spdx.json says the same to programs.
`
}
