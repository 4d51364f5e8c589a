// Runs blocks of a page in a node or in the lab, each by a bash of its own that stops at the first command that fails. Variables and the
// working directory go from block to block, as in the terminal of a reader. In: a lab, blocks.
import type { Lab } from '../../../hack/lab/lab.ts'
import { type Block, isShown } from './blocks.ts'

/** A block that failed, or printed something else than its page shows. */
export class BlockError extends Error {
  override readonly name = 'BlockError'
}

/** Folder in which a page is run. It has the folders of the checkout, and a reader may write there. */
export const FOLDER = '/run/reader'
const STATE = '/run/reader-state'

/** A reader of one page. */
export interface Reader {
  /** Runs a block. @throws BlockError with all that it has printed */
  run(block: Block): Promise<void>
}

/** Makes the folder of a reader; `env` is the environment of the first block. */
export async function newReader(lab: Lab, env: Readonly<Record<string, string>> = {}): Promise<Reader> {
  await lab.must(`rm -rf ${FOLDER} ${STATE}; mkdir -p ${FOLDER} ${STATE}
    ln -s "$PWD"/* ${FOLDER}/
    echo 'cd ${FOLDER}' >${STATE}/cd; : >${STATE}/variables`)
  return { run: (block) => run(lab, block, env) }
}

async function run(lab: Lab, block: Block, env: Readonly<Record<string, string>>): Promise<void> {
  const { page, line, text, output } = block
  await lab.writeFile(`${STATE}/block`, text)
  // A reader sees both outputs as they come.
  const script = `exec 2>&1; . ${STATE}/cd; . ${STATE}/variables; set -aeo pipefail
. ${STATE}/block
set +ae; export -p >${STATE}/variables; printf 'cd %q\\n' "$PWD" >${STATE}/cd`
  const { code, stdout: printed } = await lab.exec(['bash', '-c', script], { env })
  if (code !== 0) throw new BlockError(`${page}:${line} ended with code ${code}:\n${text}\n${printed}`)
  if (output !== undefined && !isShown(output, printed))
    throw new BlockError(`${page}:${line} shows\n${output}\nand it printed\n${printed}`)
}
