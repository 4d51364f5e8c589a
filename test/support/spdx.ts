// Reads a bill of materials strictly: keys, values and references as SPDX 2.3 demands them of what ours has
// (https://spdx.github.io/spdx-spec/v2.3, chapters 6 to 11). In: text. Out: the document.
import { z } from 'zod'

const id = z.string().regex(/^SPDXRef-[A-Za-z0-9.-]+$/)
const sum = (algorithm: string, digits: number) =>
  z.strictObject({
    algorithm: z.literal(algorithm),
    checksumValue: z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`)),
  })
/** Words of a licence expression (annex D): operators, and identifiers that ours has. */
const LICENCES = [
  ...['Apache-2.0', 'MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', 'Zlib', 'ICU', 'IJG', 'LLVM-exception'],
  ...['LGPL-2.0-or-later', 'LGPL-2.1-only', 'LGPL-2.1-or-later', 'GPL-2.0-or-later'],
]
const licence = z
  .string()
  .refine(
    (text) =>
      text === 'NOASSERTION' || text.split(/ (?:AND|OR|WITH) /).every((word) => LICENCES.includes(word)),
  )

const spdxPackage = z.strictObject({
  SPDXID: id,
  name: z.string().min(1),
  versionInfo: z.string().min(1).optional(),
  downloadLocation: z.string().regex(/^(NOASSERTION|(git\+)?https:\/\/\S+)$/),
  filesAnalyzed: z.literal(false),
  licenseConcluded: licence,
  licenseDeclared: licence,
  copyrightText: z.string().min(1),
  comment: z.string().optional(),
  checksums: z.array(sum('SHA512', 128)).optional(),
  externalRefs: z
    .array(
      z.strictObject({
        referenceCategory: z.literal('PACKAGE-MANAGER'),
        referenceType: z.literal('purl'),
        referenceLocator: z.string().regex(/^pkg:(npm|deb)\/[^\s@]+@[^\s@]+$/),
      }),
    )
    .optional(),
})

const file = z.strictObject({
  SPDXID: id,
  fileName: z.string().startsWith('./'),
  checksums: z.tuple([sum('SHA1', 40), sum('SHA256', 64)]),
  licenseConcluded: licence,
  copyrightText: z.string().min(1),
})

const relationship = z.strictObject({
  spdxElementId: id,
  relationshipType: z.enum(['DESCRIBES', 'CONTAINS', 'STATIC_LINK']),
  relatedSpdxElement: id,
})

const documentSchema = z
  .strictObject({
    spdxVersion: z.literal('SPDX-2.3'),
    dataLicense: z.literal('CC0-1.0'),
    SPDXID: z.literal('SPDXRef-DOCUMENT'),
    name: z.string().min(1),
    documentNamespace: z.url().refine((text) => !text.includes('#')),
    creationInfo: z.strictObject({
      created: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      creators: z.array(z.string().regex(/^Tool: \S+-\S+$/)).min(1),
    }),
    packages: z.array(spdxPackage).min(1),
    files: z.array(file).min(1),
    relationships: z.array(relationship).min(1),
  })
  .superRefine((document, context) => {
    const ids = [...document.packages, ...document.files].map(({ SPDXID }) => SPDXID)
    for (const one of ids)
      if (ids.indexOf(one) !== ids.lastIndexOf(one)) context.addIssue(`${one} is there twice`)
    const known = new Set([...ids, document.SPDXID])
    for (const { spdxElementId, relatedSpdxElement } of document.relationships)
      for (const one of [spdxElementId, relatedSpdxElement])
        if (!known.has(one)) context.addIssue(`nothing is called ${one}`)
    for (const one of ids)
      if (!document.relationships.some(({ relatedSpdxElement }) => relatedSpdxElement === one))
        context.addIssue(`nothing contains ${one}`)
  })

/** A document of SPDX. */
export type SpdxDocument = z.infer<typeof documentSchema>

/** Reads a document. @throws ZodError with the place of each mistake */
export function readSpdx(text: string): SpdxDocument {
  return documentSchema.parse(JSON.parse(text))
}
