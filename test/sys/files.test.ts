// Files are replaced whole, kept private, and read with bounds.
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  linkName,
  linkTarget,
  listFolder,
  readOwnText,
  readText,
  removeFile,
  replaceFile,
  tryToWrite,
  writeValue,
} from '../../src/sys/files.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'files-'))
  file = join(folder, 'record')
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('replaceFile', () => {
  test('makes the file and the folders before it, for root only', () => {
    const deep = join(folder, 'a/b/record')
    replaceFile(deep, 'é\n')
    expect(readFileSync(deep, 'utf8')).toBe('é\n')
    expect(statSync(deep).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'a')).mode & 0o777).toBe(0o700)
    expect(readdirSync(join(folder, 'a/b'))).toEqual(['record'])
  })

  test('gives the file the mode that is asked for, whatever the umask', () => {
    const before = process.umask(0o077)
    try {
      replaceFile(file, 'x', 'volatile', 0o444)
      expect(statSync(file).mode & 0o777).toBe(0o444)
      replaceFile(file, 'y', 'volatile', 0o644)
      expect([readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual(['y', 0o644])
    } finally {
      process.umask(before)
    }
  })

  test('replaces longer and shorter content whole, and whatever mode the file had', () => {
    writeFileSync(file, 'x'.repeat(100_000))
    chmodSync(file, 0o444)
    replaceFile(file, 'short')
    expect(readFileSync(file, 'utf8')).toBe('short')
    replaceFile(file, 'y'.repeat(100_000))
    expect(readFileSync(file, 'utf8')).toBe('y'.repeat(100_000))
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  test('is a new file: who has the old one open reads the old content', () => {
    replaceFile(file, 'old')
    const before = statSync(file).ino
    replaceFile(file, 'new')
    expect(statSync(file).ino).not.toBe(before)
  })

  test('takes the place of a symbolic link instead of following it', () => {
    const target = join(folder, 'target')
    writeFileSync(target, 'mine')
    symlinkSync(target, file)
    replaceFile(file, 'record')
    expect(readFileSync(target, 'utf8')).toBe('mine')
    expect(readFileSync(file, 'utf8')).toBe('record')
  })

  test('where it fails the old content stays and nothing is left beside it', () => {
    mkdirSync(file)
    writeFileSync(join(file, 'inside'), '')
    expect(() => replaceFile(file, 'x')).toThrow(expect.objectContaining({ syscall: 'rename' }))
    expect(readdirSync(folder)).toEqual(['record'])
  })

  test('may have the longest name that there is', () => {
    const path = join(folder, 'é'.repeat(127))
    replaceFile(path, 'x')
    expect(readFileSync(path, 'utf8')).toBe('x')
    expect(readdirSync(folder)).toEqual([basename(path)])
  })

  test('a disk that takes a part only: an error, the old content, no leftovers', () => {
    replaceFile(file, 'old')
    // A limit on file sizes makes write(2) do what a full disk does: take a part, and refuse with the next call.
    const limit = (soft: string) =>
      expect(spawnSync('prlimit', ['--pid', String(process.pid), `--fsize=${soft}:`]).status).toBe(0)
    // Beyond the limit the kernel sends SIGXFSZ, which ends a process that has nobody for it.
    const survive = () => undefined
    process.on('SIGXFSZ', survive)
    limit('4096')
    try {
      expect(() => replaceFile(file, 'x'.repeat(10_000))).toThrow(`EFBIG: file too large, write '${file}'`)
    } finally {
      limit('unlimited')
      process.off('SIGXFSZ', survive)
    }
    expect(readFileSync(file, 'utf8')).toBe('old')
    expect(readdirSync(folder)).toEqual(['record'])
  })
})

test('tryToWrite leaves nothing, and says what the file system says', () => {
  tryToWrite(join(folder, 'a/b'), 'probe', 4096)
  expect(readdirSync(join(folder, 'a/b'))).toEqual([])
  writeFileSync(file, '')
  expect(() => tryToWrite(file, 'probe', 1)).toThrow('EEXIST')
})

describe('removeFile', () => {
  test('removes, and succeeds when there is nothing', () => {
    writeFileSync(file, '')
    removeFile(file)
    expect(existsSync(file)).toBe(false)
    removeFile(file)
    removeFile(join(folder, 'no/such/folder'))
    removeFile(join(folder, 'x'.repeat(300)))
    writeFileSync(file, '')
    removeFile(join(file, 'below-a-file'))
  })

  test('anything else is an error', () => {
    mkdirSync(file)
    expect(() => removeFile(file)).toThrow(/EISDIR|EPERM/)
  })
})

describe('readText', () => {
  test.each([
    ['value\n', 'value'],
    ['value', 'value'],
    ['value\n\n', 'value\n'],
    ['\n', ''],
    ['', ''],
    [' 5 \n', ' 5 '],
  ])('%j reads as %j', (content, text) => {
    writeFileSync(file, content)
    expect(readText(file)).toBe(text)
  })

  test('what is not there is undefined, what can’t be read is an error', () => {
    writeFileSync(file, '')
    expect(readText(join(folder, 'gone'))).toBeUndefined()
    expect(readText(join(file, 'below-a-file'))).toBeUndefined()
    expect(() => readText(folder)).toThrow('EISDIR')
  })
})

describe('readOwnText', () => {
  test('reads a file of any size whole', () => {
    for (const text of ['', 'x', 'é'.repeat(20_000), 'y'.repeat(3 << 20)]) {
      writeFileSync(file, `${text}\n`)
      expect(readOwnText(file)).toBe(text)
    }
  })

  test('where there can be none it is undefined', () => {
    writeFileSync(file, '')
    symlinkSync('loop', join(folder, 'loop'))
    const paths = ['gone', 'record/below', 'loop', 'x'.repeat(300), '/x'.repeat(3000)]
    expect(paths.map((path) => readOwnText(join(folder, path)))).toEqual(paths.map(() => undefined))
  })

  test('what is no file is an error that names it, at once: a FIFO, a folder', () => {
    execFileSync('mkfifo', [file])
    const refusal = { code: 'EINVAL', message: `EINVAL: '${file}' is no regular file` }
    expect(() => readOwnText(file)).toThrow(expect.objectContaining(refusal))
    const fd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK)
    expect(() => readOwnText(file)).toThrow(expect.objectContaining(refusal))
    closeSync(fd)
    expect(() => readOwnText(folder)).toThrow(`EINVAL: '${folder}' is no regular file`)
  })

  test('a file without an end is an error', () => {
    symlinkSync('/dev/zero', file)
    expect(() => readOwnText(file)).toThrow(`EFBIG: more than 67108864 bytes '${file}'`)
  })
})

test('writeValue writes, and passes on what the kernel says', () => {
  writeValue(file, '1')
  expect(readFileSync(file, 'utf8')).toBe('1')
  expect(() => writeValue(join(folder, 'no/such'), '1')).toThrow('ENOENT')
  expect(() => writeValue('/dev/full', '1')).toThrow('ENOSPC')
})

describe('listFolder', () => {
  test('sorted by bytes; a folder that is not there is empty', () => {
    for (const name of ['b', 'a10', 'a2', 'B']) writeFileSync(join(folder, name), '')
    expect(listFolder(folder)).toEqual(['B', 'a10', 'a2', 'b'])
    expect(listFolder(join(folder, 'gone'))).toEqual([])
    expect(listFolder(join(folder, 'b'))).toEqual([])
  })
})

describe('linkName', () => {
  test('the last part of where a link leads, whether that exists or not', () => {
    symlinkSync('../../../bus/pci/drivers/igb', file)
    expect(linkName(file)).toBe('igb')
    expect(linkTarget(file)).toBe('../../../bus/pci/drivers/igb')
  })

  test('undefined for what is no link', () => {
    writeFileSync(file, '')
    expect(linkName(file)).toBeUndefined()
    expect(linkName(folder)).toBeUndefined()
    expect(linkName(join(folder, 'gone'))).toBeUndefined()
  })
})
