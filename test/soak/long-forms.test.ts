// The long run asks vitest for files by pieces of their paths: a piece that fits no file would run nothing, and say nothing.
import { expect, test } from 'vitest'
import { tracked } from '../support/source-tree.ts'
import { longForms } from './long-forms.ts'

test.each(Object.entries(longForms))(
  'each path that the long run of %s asks for names a test file',
  (_, pieces) => {
    for (const piece of pieces)
      expect(tracked.filter((file) => file.endsWith('.test.ts') && `/${file}`.includes(piece))).not.toEqual(
        [],
      )
  },
)
