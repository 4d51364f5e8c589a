/** Words that operations of several subjects have. */

/** The side on which an operation runs: the plugin's own network namespace or the pod's. */
export type Side = 'host' | 'pod'

/** `prefer` tries skip_sw first; `off` installs with skip_hw. */
export type Offload = 'off' | 'prefer' | 'require'

/** Protocols whose ports can be mapped. */
export type Proto = 'tcp' | 'udp' | 'sctp'
