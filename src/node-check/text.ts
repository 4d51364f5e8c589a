/** The look at a node in lines for people. Pure. */
import type { CardCheck, NodeCheck } from './check.ts'

/** See the head of this file. */
export function checkLines({ cards, missing, unanswered }: NodeCheck): readonly string[] {
  return [
    'this node:',
    ...(cards.length === 0
      ? [
          '  no card with virtual functions: vf-offload serves pods behind bridges and veth pairs, in software',
        ]
      : cards.flatMap(cardLines)),
    ...(missing.length === 0 && unanswered.length === 0
      ? [
          `  ${cards.length === 0 ? 'the kernel has' : 'the kernel and the program nft have'} all that port mappings and limits need`,
        ]
      : missing.map((line) => `  missing: ${line}`)),
    ...unanswered.map((line) => `  not known: ${line}`),
  ]
}

function cardLines({
  pf,
  driver,
  interfaces,
  vfs,
  mode,
  isInHardware,
  hindrances,
}: CardCheck): readonly string[] {
  const names = interfaces.length === 0 ? '' : ` (${interfaces.join(', ')})`
  const where = isInHardware ? 'filters of pods run in the card' : 'filters of pods run on the host'
  return [
    `  card ${pf}${names}, driver ${driver ?? 'none'}, ${vfs.now} of ${vfs.most} VFs, ${mode ?? 'no'} mode: ${where}`,
    ...hindrances.map((line) => `    ${line}`),
  ]
}
