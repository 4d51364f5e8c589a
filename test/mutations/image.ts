import type { Mutation } from './mutation.ts'

/** Mistakes in hack/image. */
export const image: readonly Mutation[] = [
  {
    id: 'image-order',
    file: 'hack/image/tar.ts',
    mistake: 'Entries stay in the order in which the folder was read.',
    old: 'rank(a) - rank(b) || Buffer.compare(Buffer.from(a.path), Buffer.from(b.path))',
    now: 'rank(a) - rank(b)',
    test: ['hack/image.test.ts', 'does not depend on the order of its entries'],
    tier: 'quick',
  },
  {
    id: 'image-layer-sum',
    file: 'hack/image/layout.ts',
    mistake: 'The config names the sum of the packed layer, with which no runtime unpacks it.',
    old: '{layer.sum}`]',
    now: '{sha256(layer.packed)}`]',
    test: ['hack/image.test.ts', 'leads from the index to the layer'],
    tier: 'quick',
  },
  {
    id: 'image-library-of-library',
    file: 'hack/image/rootfs.ts',
    mistake: 'The libraries that a library needs are left out.',
    old: '    todo.push([path, bytes])\n',
    now: '',
    test: ['hack/rootfs.test.ts', 'has the libraries of libraries'],
    tier: 'quick',
  },
  {
    id: 'image-bill-lgpl',
    file: 'hack/image/sbom.ts',
    mistake: 'The bill does not say what Bun links under the LGPL.',
    old: '[...LGPL, ...OTHERS]',
    now: '[...OTHERS]',
    test: ['hack/sbom.test.ts', 'has Bun, and what it links under the LGPL'],
    tier: 'quick',
  },
]
