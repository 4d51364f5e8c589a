// The bill of materials of an image, or of an archive of a release. In: what is in it. Out: a document of SPDX 2.3 (ISO/IEC 5962, chapters 6 to 11) as JSON.
import { createHash } from 'node:crypto'
import { LGPL, OTHERS } from './bun-parts.ts'
import type { DebianPackage } from './debian.ts'
import { type Architecture, sha256, timeText } from './layout.ts'
import type { CLibrary, NpmPackage } from './npm.ts'

/** The parts of an image or of an archive. */
export interface Contents {
  readonly kind: 'image' | 'archive'
  readonly version: string
  /** Of an archive for musl: its name says so. */
  readonly libc?: CLibrary
  readonly architecture: Architecture
  /** Seconds since 1970. */
  readonly time: number
  readonly bun: NpmPackage
  readonly npm: readonly NpmPackage[]
  readonly debian: readonly DebianPackage[]
  /** Programs and libraries, by their path without a root. */
  readonly files: ReadonlyMap<string, Uint8Array>
}

/** Licences of Debian packages whose own files name them in prose. */
export const debianLicences: Readonly<Record<string, string>> = {
  libc6: 'LGPL-2.1-or-later',
  'base-files': 'GPL-2.0-or-later',
}

interface Package {
  readonly SPDXID: string
  readonly name: string
  readonly versionInfo?: string
  readonly downloadLocation: string
  readonly filesAnalyzed: false
  readonly licenseConcluded: string
  readonly licenseDeclared: string
  readonly copyrightText: string
  readonly comment?: string
  readonly checksums?: readonly { readonly algorithm: string; readonly checksumValue: string }[]
  readonly externalRefs?: readonly object[]
}

type Relationship = readonly [from: string, kind: string, to: string]

const DOCUMENT = 'SPDXRef-DOCUMENT'
const wholes = { image: 'SPDXRef-Image', archive: 'SPDXRef-Archive' } as const
const PROGRAM = 'SPDXRef-Program'
const BUN = 'SPDXRef-Bun'

/** The document. Its text depends on nothing but `contents`. */
export function sbom(contents: Contents): string {
  const { kind, version, architecture, time, bun, npm, debian } = contents
  const whole = wholes[kind]
  const npmIds = npm.map((one) => [one, idOf('npm', one.name, one.version)] as const)
  const debianIds = debian.map((one) => [one, idOf('deb', one.name, one.version)] as const)
  const parts = [...LGPL, ...OTHERS].map((one) => [one, idOf('bun', one.name)] as const)
  const files = filesOf(contents.files)
  const packages = [
    packageOf(whole, `vf-flower-${kind}`, 'Apache-2.0', { versionInfo: version }),
    packageOf(PROGRAM, 'vf-flower', 'Apache-2.0', { versionInfo: version }),
    packageOf(BUN, 'bun', 'MIT', {
      versionInfo: bun.version,
      downloadLocation: `git+https://github.com/oven-sh/bun@bun-v${bun.version}`,
      ...{ checksums: sha512(bun.sum), externalRefs: purl(npmUrl(bun)) },
      comment: 'The program is appended to this executable. It links libraries statically.',
    }),
    ...parts.map(([one, id]) =>
      packageOf(id, one.name, one.licence, {
        downloadLocation: one.source,
        comment: 'Linked into Bun, in the version that the sources of Bun pin.',
      }),
    ),
    ...npmIds.map(([one, id]) =>
      packageOf(id, one.name, one.licence, {
        versionInfo: one.version,
        ...{ checksums: sha512(one.sum), externalRefs: purl(npmUrl(one)) },
      }),
    ),
    ...debianIds.map(([one, id]) =>
      packageOf(id, one.name, debianLicences[one.name] ?? 'NOASSERTION', {
        versionInfo: one.version,
        externalRefs: purl(
          `pkg:deb/debian/${one.name}@${encodeURIComponent(one.version)}?arch=${one.architecture}`,
        ),
        comment: `In part. /usr/share/doc/${one.name}/copyright has all licences.`,
      }),
    ),
  ]
  const relationships: Relationship[] = [
    [DOCUMENT, 'DESCRIBES', whole],
    [whole, 'CONTAINS', PROGRAM],
    [PROGRAM, 'CONTAINS', BUN],
    ...parts.map(([, id]) => [BUN, 'STATIC_LINK', id] as const),
    ...npmIds.map(([, id]) => [PROGRAM, 'CONTAINS', id] as const),
    ...debianIds.map(([, id]) => [whole, 'CONTAINS', id] as const),
    ...files.map(({ SPDXID }) => [whole, 'CONTAINS', SPDXID] as const),
  ]
  const rest = {
    creationInfo: { created: timeText(time), creators: [`Tool: vf-flower-hack-image-${version}`] },
    ...{ packages, files },
    relationships: relationships.map(([spdxElementId, relationshipType, relatedSpdxElement]) => ({
      ...{ spdxElementId, relationshipType, relatedSpdxElement },
    })),
  }
  const name = `vf-flower-${version}-${kind === 'archive' ? 'linux-' : ''}${architecture}${contents.libc === 'musl' ? '-musl' : ''}`
  const document = {
    ...{ spdxVersion: 'SPDX-2.3', dataLicense: 'CC0-1.0', SPDXID: DOCUMENT, name },
    documentNamespace: `https://spdx.org/spdxdocs/${name}-${sha256(JSON.stringify(rest)).slice(0, 32)}`,
    ...rest,
  }
  return `${JSON.stringify(document, null, 1)}\n`
}

/** An identifier has letters, digits, dots and minus signs alone. */
function idOf(...words: readonly string[]): string {
  return `SPDXRef-${words.join('-').replace(/[^A-Za-z0-9.-]/g, '-')}`
}

function packageOf(SPDXID: string, name: string, licence: string, more: Partial<Package>): Package {
  return {
    ...{ SPDXID, name, downloadLocation: 'NOASSERTION', filesAnalyzed: false },
    ...{ licenseConcluded: 'NOASSERTION', licenseDeclared: licence, copyrightText: 'NOASSERTION' },
    ...more,
  }
}

function sha512(sum: string): NonNullable<Package['checksums']> {
  return [{ algorithm: 'SHA512', checksumValue: sum }]
}

function purl(referenceLocator: string): NonNullable<Package['externalRefs']> {
  return [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator }]
}

function npmUrl({ name, version }: NpmPackage): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`
}

function filesOf(files: Contents['files']) {
  return [...files].map(([path, bytes]) => ({
    ...{ SPDXID: idOf('File', path), fileName: `./${path}` },
    // SPDX demands the old one too.
    checksums: ['SHA1', 'SHA256'].map((algorithm) => ({
      algorithm,
      checksumValue: createHash(algorithm).update(bytes).digest('hex'),
    })),
    ...{ licenseConcluded: 'NOASSERTION', copyrightText: 'NOASSERTION' },
  }))
}
