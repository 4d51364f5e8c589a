// Texts about licences that the image, or an archive of a release, carries beside those of its parts. In: the parts. Out: texts.
import { LGPL, OTHERS } from './bun-parts.ts'
import type { Contents } from './sbom.ts'

/** The page that says what is in the image or archive, under which licence, and how a user puts changed libraries in. */
export function notices({ kind, version, bun, npm, debian }: Omit<Contents, 'files'>): string {
  const mit = npm.find(({ licence }) => licence === 'MIT')
  return `# Licences of the ${kind} vf-flower ${version}

vf-flower has the Apache License 2.0: the file LICENSE beside this page. Its sources are those of the version ${version}.
sbom.spdx.json lists each part with its version.

## The executable

\`${kind === 'image' ? '/opt/vf-flower/' : ''}vf-flower\` is Bun ${bun.version} with the program behind it. Bun has the MIT License, Copyright (c) Oven.
${mit === undefined ? '' : `The text of this licence, with another holder, is in npm/${mit.name}-${mit.version}. `}Its sources have its licence, and those of all libraries that it links: https://github.com/oven-sh/bun, tag \`bun-v${bun.version}\`.

${[row('library in Bun', 'licence', 'sources'), '|---|---|---|', ...[...LGPL, ...OTHERS].map((one) => row(one.name, one.licence, one.source))].join('\n')}

## To change the libraries under the LGPL, and link anew

Bun links ${LGPL.map(({ name }) => name).join(' and ')} statically. Their licence gives you the right to change them and to use the program
with what you have made. Everything that this takes is public:

1. Get Bun's sources, tag \`bun-v${bun.version}\`. In them \`scripts/build/deps/webkit.ts\` names the commit of JavaScriptCore
   (WEBKIT_VERSION) in https://github.com/oven-sh/WebKit, and \`scripts/build/deps/tinycc.ts\` that of tinycc.
2. Get JavaScriptCore at that commit into the folder \`vendor/WebKit\`, change it, and run \`bun run build:local\` there as Bun's
   CONTRIBUTING.md says. The result is an executable: your Bun.
3. Get the sources of vf-flower ${version}, run \`npm ci --ignore-scripts\`, and then with your Bun

       /path/to/your/bun hack/build.ts

   \`dist/vf-flower\` is then the same program with your libraries. \`package-lock.json\` pins the Bun of a release, and
   \`hack/bun.sh\` runs that one; the build takes any other that runs it.

Reverse engineering to debug such changes is allowed.

## Packages of npm in the executable

The texts are in the folder \`npm\` beside this page.

${[row('package', 'version', 'licence'), '|---|---|---|', ...npm.map((one) => row(one.name, one.version, one.licence))].join('\n')}
${kind === 'image' ? debianPage(debian) : ''}`
}

function debianPage(debian: Contents['debian']): string {
  return `
## Packages of Debian

Libraries are files of their own: put others in their place. \`apt-get source PACKAGE=VERSION\` gets the sources.

${[row('package', 'version', 'licences'), '|---|---|---|', ...debian.map((one) => row(one.name, one.version, `/usr/share/doc/${one.name}/copyright`))].join('\n')}

The texts that these pages name are in /usr/share/common-licenses.
`
}

function row(...cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}
