// Libraries of others that are linked into Bun on Linux, with their licences as Bun's own LICENSE.md names them. In: nothing. Out: a table.

/** A library inside Bun. */
export interface BunPart {
  readonly name: string
  /** An expression of SPDX; NOASSERTION where Bun names "several licenses". */
  readonly licence: string
  readonly source: string
}

/** Licences under which a user may change a library and link the program with it anew. */
export const LGPL: readonly BunPart[] = [
  {
    name: 'JavaScriptCore',
    licence: 'LGPL-2.0-or-later AND BSD-2-Clause',
    source: 'https://github.com/oven-sh/WebKit',
  },
  { name: 'tinycc', licence: 'LGPL-2.1-only', source: 'https://github.com/oven-sh/tinycc' },
]

/** The rest. */
export const OTHERS: readonly BunPart[] = (
  [
    ['boringssl', 'NOASSERTION', 'https://boringssl.googlesource.com/boringssl'],
    ['brotli', 'MIT', 'https://github.com/google/brotli'],
    ['libarchive', 'NOASSERTION', 'https://github.com/libarchive/libarchive'],
    ['lol-html', 'BSD-3-Clause', 'https://github.com/cloudflare/lol-html'],
    ['ls-hpack', 'MIT', 'https://github.com/litespeedtech/ls-hpack'],
    ['ls-qpack', 'MIT', 'https://github.com/litespeedtech/ls-qpack'],
    ['lsquic', 'MIT AND BSD-3-Clause', 'https://github.com/litespeedtech/lsquic'],
    ['mimalloc', 'MIT', 'https://github.com/microsoft/mimalloc'],
    ['picohttpparser', 'MIT', 'https://github.com/h2o/picohttpparser'],
    ['zstd', 'BSD-3-Clause', 'https://github.com/facebook/zstd'],
    ['simdutf', 'Apache-2.0', 'https://github.com/simdutf/simdutf'],
    ['uSockets', 'Apache-2.0', 'https://github.com/uNetworking/uSockets'],
    ['uWebSockets', 'Apache-2.0', 'https://github.com/jarred-sumner/uwebsockets'],
    ['zlib-ng', 'Zlib', 'https://github.com/zlib-ng/zlib-ng'],
    ['c-ares', 'MIT', 'https://github.com/c-ares/c-ares'],
    ['icu', 'ICU', 'https://github.com/unicode-org/icu'],
    ['libbase64', 'BSD-2-Clause', 'https://github.com/aklomp/base64'],
    ['libdeflate', 'MIT', 'https://github.com/ebiggers/libdeflate'],
    ['libjpeg-turbo', 'BSD-3-Clause AND IJG AND Zlib', 'https://github.com/libjpeg-turbo/libjpeg-turbo'],
    ['libspng', 'BSD-2-Clause', 'https://github.com/randy408/libspng'],
    ['libwebp', 'BSD-3-Clause', 'https://github.com/webmproject/libwebp'],
    ['highway', 'Apache-2.0', 'https://github.com/google/highway'],
    ['uucode', 'MIT', 'https://github.com/jacobsandlund/uucode'],
    ['libc++abi', 'Apache-2.0 WITH LLVM-exception', 'https://github.com/llvm/llvm-project'],
  ] as const
).map(([name, licence, source]) => ({ name, licence, source }))
