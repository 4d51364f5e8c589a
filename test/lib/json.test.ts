// JSON is read and printed without losing digits or members, and keys are matched as Go matches them.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  fold,
  get,
  isObject,
  type JsonObject,
  normalise,
  parse,
  setMember,
  shown,
  stringify,
} from '../../src/lib/json.ts'

const object = (text: string): JsonObject => parse(text) as JsonObject

describe('parse', () => {
  test('agrees with JSON.parse on every document that JSON.stringify can print', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify(value)
        const spaced = JSON.stringify(value, null, 2)
        expect(toNumbers(parse(text))).toEqual(JSON.parse(text))
        expect(toNumbers(parse(`\t\r\n ${spaced} `))).toEqual(JSON.parse(text))
      }),
    )
  })

  test('accepts and refuses what JSON.parse accepts and refuses', () => {
    const nearJson = fc.array(
      fc.constantFrom(...'{}[]",:\\u00e1-+.eE019 \n\ttrufalsn\u0000\u2028'.split('')),
      { maxLength: 24 },
    )
    let accepted = 0
    fc.assert(
      fc.property(nearJson, (characters) => {
        const text = characters.join('')
        let valid = true
        try {
          JSON.parse(text)
        } catch {
          valid = false
        }
        // Numbers beyond a double are the one thing we refuse and JSON.parse turns into Infinity.
        if (valid && /[eE]\+?[0-9]{3}/.test(text)) return
        if (valid) accepted++
        if (valid) expect(() => parse(text)).not.toThrow()
        else expect(() => parse(text)).toThrow(SyntaxError)
      }),
      { numRuns: 3000 },
    )
    expect(accepted).toBeGreaterThan(10)
  })

  test.each([
    ['', 'line 1, column 1: found the end, expected a value'],
    ['\ufeff{}', 'line 1, column 1: found "\ufeff", expected a value'],
    ['{"a":1,}', 'line 1, column 8: found "}", expected a key in quotes'],
    ['{"a" 1}', 'line 1, column 6: found "1", expected \':\''],
    ['{"a":1 "b":2}', "line 1, column 8: found \"\\\"\", expected ',' or '}'"],
    ['[1 2]', "line 1, column 4: found \"2\", expected ',' or ']'"],
    ['{\n  "a": nul\n}', 'line 2, column 8: found "n", expected a value'],
    ['{} x', 'line 1, column 4: found "x", expected the end'],
    ['{"a":01}', "line 1, column 7: found \"1\", expected ',' or '}'"],
    ['"abc', 'line 1, column 1: string has no end'],
    ['"abc\\"', 'line 1, column 1: string has no end'],
    ['"a\tb"', 'line 1, column 1: bad escape or control character in string'],
    ['"\\x41"', 'line 1, column 1: bad escape or control character in string'],
    ['1e999', 'line 1, column 1: number is too large'],
    [`${'['.repeat(1001)}`, 'line 1, column 1001: nested deeper than 1000'],
  ])('refuses %j and says where', (text, message) => {
    expect(() => parse(text)).toThrow(new SyntaxError(message))
  })

  test.each([
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['-9007199254740993', -9007199254740993n],
    ['18446744073709551615', 18446744073709551615n],
    ['34359738359', 34359738359],
    ['1.0', 1],
    ['1e3', 1000],
    ['-0', -0],
  ])('reads %s exactly', (text, value) => {
    expect(parse(text)).toBe(value)
  })

  test('keeps the value and the place of the last of repeated keys', () => {
    const value = object('{"a":1,"A":2,"a":3}')
    expect(Object.entries(value)).toEqual([
      ['A', 2],
      ['a', 3],
    ])
  })

  test('keeps a member called __proto__ as a member', () => {
    const value = object('{"__proto__":{"polluted":true}}')
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect((value as { polluted?: unknown }).polluted).toBeUndefined()
    expect(stringify(value)).toBe('{"__proto__":{"polluted":true}}')
    expect(stringify(normalise(value, {}))).toBe('{"__proto__":{"polluted":true}}')
  })

  test('reads a document of 1 MB with one long string and many escapes', () => {
    const text = JSON.stringify({
      long: 'x"\\\n'.repeat(250_000),
      list: Array.from({ length: 10_000 }, (_, i) => i),
    })
    expect(parse(text)).toEqual(JSON.parse(text))
  })
})

describe('stringify', () => {
  test('prints what parse read, exactly', () => {
    const text =
      '{"burst":18446744073709551615,"list":[null,true,"\\u0000é\\""],"nested":{"n":-9007199254740993}}'
    expect(stringify(parse(text))).toBe(text)
  })

  test('prints like JSON.stringify where that can', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(stringify(value)).toBe(JSON.stringify(value))
      }),
    )
  })

  test('leaves out undefined members and refuses numbers that JSON has no form for', () => {
    expect(stringify({ a: undefined, b: [undefined], c: 1 })).toBe('{"b":[null],"c":1}')
    expect(() => stringify({ a: Number.NaN })).toThrow(TypeError)
    expect(() => stringify([Number.POSITIVE_INFINITY])).toThrow(TypeError)
  })
})

// Right-hand sides: what encoding/json of Go 1.24 assigns to a field tagged `json:"deviceID"`.
describe('get', () => {
  test.each([
    ['{"deviceID":"a","DEVICEID":"b"}', 'b'],
    ['{"DEVICEID":"b","deviceID":"a"}', 'a'],
    ['{"deviceID":"a","DEVICEID":"b","deviceID":"c"}', 'c'],
    ['{"deviceID":"a","DEVICEID":"b","deviceID":"c","deviceid":"d"}', 'd'],
    ['{"DeviceId":"x"}', 'x'],
    ['{"device_id":"x","device":"y"}', undefined],
    ['{}', undefined],
  ])('picks the member that Go picks from %s', (text, value) => {
    expect(get(object(text), 'deviceID')).toBe(value)
  })

  test('folds the two letters outside ASCII that Go folds into ASCII', () => {
    expect(get(object('{"iſGateway":1}'), 'isGateway')).toBe(1)
    expect(get(object('{"\u212aind":2}'), 'kind')).toBe(2)
    expect(fold('IſGATEWAY')).toBe(fold('isGateway'))
    expect(get(object('{"ıp":1,"İp":1}'), 'ip')).toBeUndefined()
  })

  test('does not find what objects inherit', () => {
    expect(get({}, 'constructor')).toBeUndefined()
    expect(get({}, 'tostring')).toBeUndefined()
  })
})

describe('normalise', () => {
  const keys = {
    vlan: true,
    runtimeConfig: { portMappings: { hostPort: true, containerPort: true }, mac: true },
  } as const

  test('gives known keys their official spelling at every level and keeps the others', () => {
    const text =
      '{"VLAN":5,"Other":{"VLAN":1},"RuntimeConfig":{"PortMappings":[{"HostPort":1,"ContainerPort":2,"HostIP":""},7]}}'
    expect(normalise(object(text), keys)).toEqual({
      vlan: 5,
      Other: { VLAN: 1 },
      runtimeConfig: { portMappings: [{ hostPort: 1, containerPort: 2, HostIP: '' }, 7] },
    })
  })

  test('lets the last spelling of a key count, as get does', () => {
    const value = object('{"vlan":1,"Vlan":2,"x":0,"VLAN":3}')
    expect(normalise(value, keys)).toEqual({ vlan: 3, x: 0 })
    expect(get(value, 'vlan')).toBe(3)
  })

  test('drops null where a key is known: to Go it means not given', () => {
    expect(normalise(object('{"vlan":null,"x":null}'), keys)).toEqual({ x: null })
    expect(normalise(object('{"vlan":1,"VLAN":null}'), keys)).toEqual({})
  })

  test('leaves a value alone that is no object where one is expected', () => {
    expect(normalise(object('{"runtimeConfig":"x"}'), keys)).toEqual({ runtimeConfig: 'x' })
  })
})

test('shown shows the beginning of a long value', () => {
  expect(shown({ a: 'é' })).toBe('{"a":"é"}')
  expect(shown('x'.repeat(200))).toBe(`"${'x'.repeat(200)}"`)
  expect(shown('x'.repeat(201))).toBe(`"${'x'.repeat(200)}" ...`)
  expect(shown(Array.from({ length: 1_000 }, () => 'y'))).toHaveLength(204)
})

test('setMember moves a repeated member behind the others', () => {
  const value: Record<string, number> = { a: 1, b: 2 }
  setMember(value, 'a', 3)
  expect(Object.entries(value)).toEqual([
    ['b', 2],
    ['a', 3],
  ])
})

test('isObject tells objects from arrays and null', () => {
  expect([{}, [], null, 'x', 1, undefined].map(isObject)).toEqual([true, false, false, false, false, false])
})

/** Bigints back to the doubles that JSON.parse makes of them. */
function toNumbers(value: unknown): unknown {
  return JSON.parse(stringify(value))
}
