/** Takes attachments back before their plugins go, each by the DEL that its runtime would send. */

import { InstallError } from '../errors.ts'
import { type Attachment, attachmentWords } from './attachments.ts'
import { cachedConfig } from './cached-config.ts'

/** Runs a program; `argv0` is the name that it is called by. */
export type Run = (
  file: string,
  options: { readonly argv0: string; readonly input: string; readonly env: Readonly<Record<string, string>> },
) => { readonly status: number | null; readonly output: string }

/** The place of the plugins. */
export interface Programs {
  /** Folder with our plugins. */
  readonly folder: string
  /** CNI_PATH, in which IPAM plugins are. */
  readonly path: string
  /** Folder in which libcni keeps the configs of attachments. */
  readonly cache: string
}

/** Takes all of them back. Returns lines about what happened. @throws InstallError with those that stay */
export function bringHome(
  attachments: readonly Attachment[],
  programs: Programs,
  run: Run,
): readonly string[] {
  const stay: string[] = []
  const lines: string[] = []
  for (const one of attachments) {
    const { plugin, owner, stateDir, name } = one
    // DEL goes by what it finds where the record can't be read; the name of the file tells whose it is.
    const network = owner?.network ?? (plugin === 'vf-attach' ? 'unknown' : name.subject)
    const cached = cachedConfig(programs.cache, { ...name, network }, plugin)
    const config = cached ?? { cniVersion: '1.0.0', name: network, type: plugin, stateDir }
    const { status, output } = run(
      `${programs.folder}/${plugin === 'vf-attach' ? 'vf-attach' : 'vf-offload'}`,
      {
        argv0: `${programs.folder}/${plugin}`,
        input: JSON.stringify(config),
        env: {
          ...{ CNI_COMMAND: 'DEL', CNI_CONTAINERID: name.containerID, CNI_NETNS: owner?.netns ?? '' },
          ...{ CNI_IFNAME: name.ifname, CNI_PATH: programs.path },
        },
      },
    )
    if (status === 0) {
      lines.push(`taken back: ${attachmentWords(one)}${restWords(one, cached !== undefined)}`)
    } else stay.push(`${attachmentWords(one)}: DEL answered ${output.trim() || `with exit code ${status}`}`)
  }
  if (stay.length > 0)
    throw new InstallError(
      `Cannot take all attachments back, so nothing was removed:\n  ${stay.join('\n  ')}`,
    )
  return lines
}

/** The end of a line about things that may have stayed. */
function restWords({ plugin, owner }: Attachment, hasConfig: boolean): string {
  if (owner === undefined) return ', so that some of it may be with the pod still'
  if (hasConfig || plugin !== 'vf-attach') return ''
  return '; addresses of its IPAM plugin, if it had one, stay given out: the runtime has no config of it'
}
