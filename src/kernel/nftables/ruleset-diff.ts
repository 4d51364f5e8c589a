/**
 * Compares two texts of an nftables table: the loaded one, and the one that `nft` lists. Brings both to one form first. Pure.
 * Parses tables, chains, maps and sets; an nft rule is a list of words.
 */

/** One statement of a table, as place (`chain prerouting`) and text (`dnat ip to ...`). Each element is a statement of its own. */
export interface NftLine {
  readonly place: string
  readonly text: string
}

/** nft's names for hook priorities in the families ip, ip6 and inet (libnftables, `std_prios`). */
const priorities: Readonly<Record<string, string>> = {
  raw: '-300',
  mangle: '-150',
  dstnat: '-100',
  filter: '0',
  security: '50',
  srcnat: '100',
}

/** Names of protocols. nft prints numbers on systems without /etc/protocols. */
const protocols: Readonly<Record<string, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' }

/** The statements of all tables in a text, in order, with elements sorted. */
export function nftLines(text: string): NftLine[] {
  const lines: NftLine[] = []
  const place: string[] = []
  let words: string[] = []
  const end = (): void => {
    if (words.length > 0) lines.push(...statement(place.slice(1).join(' '), words))
    words = []
  }
  let elements: string[] | undefined
  for (const token of text.match(tokens) ?? []) {
    if (elements !== undefined) {
      if (token === '}') {
        words.push(...elementWords(elements))
        elements = undefined
      } else if (token !== '\n') elements.push(token)
    } else if (token === '{' && opensBlock(words)) {
      place.push(words.join(' '))
      words = []
    } else if (token === '{') elements = []
    else if (token === '}') {
      end()
      place.pop()
    } else if (token === ';' || token === '\n') end()
    else words.push(token)
  }
  end()
  return lines
}

/** The differences: wanted statements that are missing, and found statements that are not wanted. */
export function compareNft(
  wanted: readonly NftLine[],
  found: readonly NftLine[],
): { readonly expected: string; readonly found: string }[] {
  const missing = without(wanted, found)
  const extra = without(found, wanted)
  if (missing.length === 0 && extra.length === 0) {
    // nft lists maps before chains, so only the order within each place counts.
    const order = (lines: readonly NftLine[]) =>
      lines
        .toSorted((a, b) => (a.place < b.place ? -1 : a.place > b.place ? 1 : 0))
        .map(lineText)
        .join('; ')
    return order(wanted) === order(found) ? [] : [{ expected: order(wanted), found: order(found) }]
  }
  const differences = missing.map((line) => {
    const at = extra.findIndex((other) => other.place === line.place)
    const instead = at < 0 ? undefined : extra.splice(at, 1)[0]
    return {
      expected: lineText(line),
      found: instead === undefined ? 'nothing like it' : lineText(instead),
    }
  })
  return [...differences, ...extra.map((line) => ({ expected: 'nothing else', found: lineText(line) }))]
}

/** A statement for people: `chain prerouting: dnat ip to ...`. */
export function lineText({ place, text }: NftLine): string {
  return place === '' ? text : `${place}: ${text}`
}

const tokens = /"[^"]*"|[{};\n]|,|[^\s{};,"]+/g
/** Marks an element among the words of a statement. */
const mark = '\0'

function opensBlock([first, ...rest]: readonly string[]): boolean {
  if (first === 'table') return rest.length <= 2
  return ['chain', 'map', 'set'].includes(first ?? '') && rest.length === 1
}

function elementWords(words: readonly string[]): string[] {
  const elements: string[][] = [[]]
  for (const word of words) {
    if (word === ',') elements.push([])
    else elements.at(-1)?.push(word)
  }
  return elements
    .filter((element) => element.length > 0)
    .map((element) => `${mark}${elementText(element)}`)
    .sort()
}

/**
 * Turns `10.1.0.1 . 6 . 80 counter` into `10.1.0.1 . tcp . 80`: a number between two dots is a protocol, and a counter does not
 * change the target of an element.
 */
function elementText(words: readonly string[]): string {
  const isProtocol = (at: number) => words[at - 1] === '.' && words[at + 1] === '.'
  return words
    .map((word, at) => (isProtocol(at) ? (protocols[word] ?? word) : word))
    .filter((word) => word !== 'counter')
    .join(' ')
}

function statement(place: string, words: readonly string[]): NftLine[] {
  const plain = words
    .filter((word) => !word.startsWith(mark))
    .map((word, at) => (words[at - 1] === 'priority' ? (priorities[word] ?? word) : word))
    .join(' ')
  const elements = words.filter((word) => word.startsWith(mark)).map((word) => word.slice(1))
  if (elements.length === 0) return [{ place, text: plain }]
  return elements.map((element) => ({ place, text: `${plain} { ${element} }` }))
}

/** The lines of one list that the other list lacks. Equal lines are counted. */
function without(lines: readonly NftLine[], others: readonly NftLine[]): NftLine[] {
  const left = others.map(lineText)
  return lines.filter((line) => {
    const at = left.indexOf(lineText(line))
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}
