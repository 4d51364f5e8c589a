// The reporter of `npm test`: a line for each finished file with its machine and the number of finished files; the slowest files at
// the end. Reports failures like vitest's own reporters.
import { DefaultReporter, type TestModule, type TestSpecification } from 'vitest/node'

/** The number of slowest files that are listed. */
const SLOWEST = 12

declare module 'vitest' {
  interface TaskMeta {
    /** On a file's task: number of its virtual machine, from 1 on. */
    machine?: number
  }
}

export default class Progress extends DefaultReporter {
  #files = 0
  #ended: { readonly name: string; readonly place: string; readonly ms: number }[] = []
  readonly #started = Date.now()

  constructor() {
    super({ summary: false })
  }

  override onTestRunStart(specifications: readonly TestSpecification[]): void {
    super.onTestRunStart(specifications)
    this.#files = specifications.length
    this.#ended = []
  }

  protected override printTestModule(testModule: TestModule): void {
    const { duration } = testModule.diagnostic()
    const name = this.relative(testModule.moduleId)
    const place = placeOf(testModule)
    this.#ended.push({ name, place, ms: duration })
    const tests = [...testModule.children.allTests()]
    const failed = tests.filter((test) => test.result().state === 'failed').length
    const state =
      testModule.state() === 'failed' ? `${failed} of ${tests.length} FAILED` : `${tests.length} tests`
    const count = `${String(this.#ended.length).padStart(String(this.#files).length)}/${this.#files}`
    this.log(
      `${count} ${clock(Date.now() - this.#started)}  ${place.padEnd(9)}  ${name}  ${state}  ${seconds(duration)}`,
    )
    // Prints failures at once, with the reason, not at the end of a long run.
    if (testModule.state() === 'failed') super.printTestModule(testModule)
  }

  override onTestRunEnd(...parameters: Parameters<DefaultReporter['onTestRunEnd']>): void {
    super.onTestRunEnd(...parameters)
    if (this.#ended.length < 2) return
    this.log('slowest files:')
    const sorted = this.#ended.toSorted((a, b) => b.ms - a.ms).slice(0, SLOWEST)
    for (const { name, place, ms } of sorted)
      this.log(`${seconds(ms).padStart(8)}  ${place.padEnd(9)}  ${name}`)
    for (const place of [...new Set(this.#ended.map((one) => one.place))].sort()) {
      const files = this.#ended.filter((one) => one.place === place)
      const all = files.reduce((sum, { ms }) => sum + ms, 0)
      this.log(`${seconds(all).padStart(8)}  ${place.padEnd(9)}  all ${files.length} files`)
    }
  }
}

function placeOf(testModule: TestModule): string {
  const { machine } = testModule.meta()
  return machine === undefined ? testModule.project.name : `machine ${machine}`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

function clock(ms: number): string {
  const all = Math.round(ms / 1000)
  return `${Math.floor(all / 60)}:${String(all % 60).padStart(2, '0')}`
}
