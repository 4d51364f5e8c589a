/** Prints the steps of the demo. */

/** A new part of it. */
export function step(text: string): void {
  console.log(`\n== ${text}`)
}

export function say(text: string): void {
  console.log(`  ${text}`)
}

/** Output of a program, further right. */
export function indent(text: string, by = 2): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => ' '.repeat(by) + line)
    .join('\n')
}

/** The time since `since`, for people. */
export function seconds(since: number): string {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`
}
