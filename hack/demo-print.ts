/** Prints the steps of the demo. */

/** Prints the title of a new part. */
export function step(text: string): void {
  console.log(`\n== ${text}`)
}

/** Prints a line of a step. */
export function say(text: string): void {
  console.log(`  ${text}`)
}

/** Indents the output of a program. */
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
