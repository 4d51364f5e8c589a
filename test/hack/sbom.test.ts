// The bill of materials and the licences of the container image: a document of SPDX 2.3 with all that package-lock.json puts into the
// program, with Bun and what it links, and with Debian's packages; the same for the same inputs.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { LGPL } from '../../hack/image/bun-parts.ts'
import { notices } from '../../hack/image/notices.ts'
import { bundledPackages, bunPackage, licenceTexts, NpmError } from '../../hack/image/npm.ts'
import { type Contents, sbom } from '../../hack/image/sbom.ts'
import { readSpdx } from '../support/spdx.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))
const lock = readFileSync(`${top}package-lock.json`, 'utf8')
const { dependencies } = JSON.parse(readFileSync(`${top}package.json`, 'utf8')) as {
  dependencies: Record<string, string>
}
const contents: Contents = {
  ...{ kind: 'image', version: '0.1.0', architecture: 'amd64', time: 86_400, bun: bunPackage(lock, 'amd64') },
  npm: bundledPackages(lock),
  debian: [{ name: 'libc6', version: '2.41-12+deb13u5', architecture: 'amd64', folder: '/none' }],
  files: new Map([['usr/lib/libc.so.6', new TextEncoder().encode('one')]]),
}

describe('the bill', () => {
  const bill = readSpdx(sbom(contents))
  const named = (name: string) => bill.packages.find((one) => one.name === name)

  test('is the same for the same inputs, and has another name for others', () => {
    expect(sbom(contents)).toBe(sbom(structuredClone(contents)))
    const other = readSpdx(sbom({ ...contents, npm: contents.npm.slice(1) }))
    expect(other.documentNamespace).not.toBe(bill.documentNamespace)
    expect(bill.creationInfo.created).toBe('1970-01-02T00:00:00Z')
  })

  test('has each dependency of the program in its version, with the sum of its archive', () => {
    for (const [name, version] of Object.entries(dependencies)) {
      expect(named(name)).toMatchObject({ versionInfo: version })
      expect(named(name)?.checksums?.[0]?.checksumValue).toMatch(/^[0-9a-f]{128}$/)
    }
    expect(named('@grpc/grpc-js')?.externalRefs?.[0]?.referenceLocator).toBe(
      `pkg:npm/%40grpc/grpc-js@${dependencies['@grpc/grpc-js']}`,
    )
  })

  test('has no package that only tests use', () => {
    expect(named('vitest')).toBeUndefined()
    expect(named('typescript')).toBeUndefined()
  })

  test('has Bun, and what it links under the LGPL', () => {
    expect(named('bun')).toMatchObject({ versionInfo: contents.bun.version, licenseDeclared: 'MIT' })
    const links = bill.relationships.filter(({ relationshipType }) => relationshipType === 'STATIC_LINK')
    for (const { name } of LGPL)
      expect(links).toContainEqual({
        spdxElementId: 'SPDXRef-Bun',
        relationshipType: 'STATIC_LINK',
        relatedSpdxElement: named(name)?.SPDXID,
      })
  })

  test('has packages of Debian, and the sums of files', () => {
    expect(named('libc6')?.externalRefs?.[0]?.referenceLocator).toBe(
      'pkg:deb/debian/libc6@2.41-12%2Bdeb13u5?arch=amd64',
    )
    // printf one | sha256sum
    expect(bill.files[0]?.checksums[1].checksumValue).toBe(
      '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed',
    )
  })
})

describe('licences', () => {
  test('each package in the program has a text', () => {
    for (const one of contents.npm) {
      const texts = [...licenceTexts(one).values()].map((text) => Buffer.from(text).toString())
      expect(texts.join('\n'), one.name).toMatch(/Copyright|Permission|License/)
    }
  })

  test('a package without a text is refused', () => {
    const [one] = contents.npm
    if (one === undefined) throw new Error('package-lock.json has no package')
    expect(() => licenceTexts({ ...one, folder: 'docs/decisions' })).toThrow(NpmError)
  })

  test('a package without a licence in package-lock.json is refused', () => {
    const bare = { lockfileVersion: 3, packages: { 'node_modules/one': { version: '1.0.0' } } }
    expect(() => bundledPackages(JSON.stringify(bare))).toThrow('of "node_modules/one"')
  })

  test('the page names each part, and how a user links the program anew', () => {
    const page = notices(contents)
    for (const { name, version } of contents.npm) expect(page).toContain(`| ${name} | ${version} |`)
    expect(page).toContain(`bun-v${contents.bun.version}`)
    for (const { name, source } of LGPL) expect(page).toMatch(new RegExp(`${name} .*${source}`))
    // The commands of the page are there.
    expect(page).toContain('hack/build.ts')
    expect(readdirSync(`${top}hack`)).toContain('build.ts')
  })
})
