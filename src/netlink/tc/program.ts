// Filters that are BPF programs with a verdict of their own, and the part of TCA_BPF_* for them. Loads without the codecs of actions and
// of other kinds of filters.
import { type AttrsOf, attrs } from '../codec/attrs.ts'
import { bytes, cstr, u32 } from '../codec/wire.ts'
import { family, type Message, NLM_F, type Request } from '../message.ts'
import { RTM } from '../rtnl/const.ts'
import { CLSACT_INGRESS, filterInfo, tcmsg } from './tcm.ts'

/** TCA_BPF_* of linux/pkt_cls.h without those of classic programs, actions and classes. */
export const program = attrs('TCA_BPF', () => ({
  TCA_BPF_FD: [6, u32],
  TCA_BPF_NAME: [7, cstr(256)],
  TCA_BPF_FLAGS: [8, u32],
  TCA_BPF_FLAGS_GEN: [9, u32],
  TCA_BPF_TAG: [10, bytes()],
}))
/** A filter's program. `TCA_BPF_FLAGS` is TCA_BPF_FLAG_ACT_DIRECT, `TCA_BPF_FLAGS_GEN` of TCA_CLS_FLAGS. */
export type Program = AttrsOf<(typeof program)['table']>

const programMessage = family(
  tcmsg,
  attrs('TCA', () => ({ TCA_KIND: [1, cstr(16)], TCA_OPTIONS: [2, program, 'noflag'] })),
)

/** A place on clsact ingress, for all protocols. */
export interface ProgramPlace {
  readonly ifindex: number
  readonly priority: number
  readonly handle: number
}

const ETH_P_ALL = 3
const at = ({ ifindex, priority, handle }: ProgramPlace) => ({
  ...{ tcm_ifindex: ifindex, tcm_handle: handle, tcm_parent: CLSACT_INGRESS },
  ...{ tcm_info: filterInfo(priority, ETH_P_ALL), TCA_KIND: 'bpf' },
})

/** Makes a program filter; EEXIST if there is one and `replaces` is false. */
export function newProgram(place: ProgramPlace, options: Program, replaces: boolean): Request {
  const flags = NLM_F.NLM_F_CREATE | (replaces ? 0 : NLM_F.NLM_F_EXCL)
  const filter = { ...at(place), TCA_OPTIONS: options }
  return programMessage.request('RTM_NEWTFILTER', RTM.RTM_NEWTFILTER, flags, filter)
}

/** Asks for a program filter: the reply's first message. ENOENT if it isn't there. */
export function getProgram(place: ProgramPlace): Request {
  return programMessage.request('RTM_GETTFILTER', RTM.RTM_GETTFILTER, 0, at(place))
}

/** Removes a program filter; ENOENT if the filter isn't there, EINVAL if its qdisc isn't. */
export function deleteProgram(place: ProgramPlace): Request {
  return programMessage.request('RTM_DELTFILTER', RTM.RTM_DELTFILTER, 0, at(place))
}

/** The program of the filter in a message of RTM_NEWTFILTER. */
export function programOf(message: Message): Program | undefined {
  return programMessage.decode(message.payload).TCA_OPTIONS
}
