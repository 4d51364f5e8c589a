// `vf-device-plugin --check FILE`: a line for each finding with file, line, column and key, and the result in the last line.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkFile } from '../../../device-plugin/config/check-file.ts'

let file: string
beforeAll(() => {
  file = join(mkdtempSync(join(tmpdir(), 'vf-check-')), 'config.json')
})
afterAll(() => rmSync(join(file, '..'), { recursive: true }))

const check = (text: string) => {
  writeFileSync(file, text)
  const { ok, text: lines } = checkFile(file, { resourcePrefix: 'intel.com' })
  return { ok, lines: lines.replaceAll(file, 'FILE').split('\n') }
}

test('a right file: its pools', () => {
  expect(
    check('{"resourceList":[{"resourceName":"a","selectors":[{}]},{"resourceName":"b","selectors":{}}]}'),
  ).toEqual({
    ok: true,
    lines: ['FILE: fit for use; pools: intel.com/a, intel.com/b', ''],
  })
  expect(check('{"resourceList":null}')).toEqual({ ok: true, lines: ['FILE: fit for use; pools: none', ''] })
})

test('warnings and notes are told and fail nothing', () => {
  expect(
    check(
      '{"resourceList":[\n{"resourceName":"a-b", "sriovMode":true,\n"selectors":[{"vendors":["0X15b3"]}]}]}',
    ),
  ).toEqual({
    ok: true,
    lines: [
      'FILE:2:17: note: resourceList[0].resourceName: makes the environment variable PCIDEVICE_INTEL_COM_A-B, which a shell can not read: it has "-"',
      'FILE:2:24: warning: resourceList[0].sriovMode: is not known and has no effect',
      'FILE:3:26: warning: resourceList[0].selectors[0].vendors[0]: is "0X15b3" and is taken as "15b3"; other device plugins compare the text',
      'FILE: fit for use; pools: intel.com/a-b',
      '',
    ],
  })
})

test('mistakes, with the warnings between them, and their number', () => {
  expect(
    check('{"resourceList":[{"resourceName":"a b","Excludetopolgy":1,\n"selectors":[{"vendors":["x"]}]}]}'),
  ).toEqual({
    ok: false,
    lines: [
      'FILE:1:34: resourceList[0].resourceName: is "a b"; must be 1 to 63 letters, digits, - and _, a letter or digit at both ends',
      'FILE:1:40: warning: resourceList[0].Excludetopolgy: is not known and has no effect; did you mean "excludeTopology"?',
      'FILE:2:26: resourceList[0].selectors[0].vendors[0]: is "x"; must be four hexadecimal digits such as "15b3"',
      'FILE: not fit for use; mistakes: 2',
      '',
    ],
  })
})

test('text that is not JSON, and a file that is not there', () => {
  expect(check('{\n"resourceList": [}').lines[0]).toBe(
    'FILE:2:18: the file: is not JSON: found "}", expected a value',
  )
  expect(checkFile(`${file}.no`, { resourcePrefix: 'intel.com' })).toEqual({
    ok: false,
    text: expect.stringMatching(/^Cannot read .*config\.json\.no: ENOENT/),
  })
})
