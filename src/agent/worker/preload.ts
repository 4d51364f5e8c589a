/**
 * All that a call loads late, so that a process of one call does not pay for it. A worker has it all before its first call: a call that
 * loads code waits for it. A test finds each `require` of the sources here.
 */
import '../../kernel/carried/carried.ts'
import '../../kernel/foreign-nat/ways.ts'
import '../../kernel/link/residue.ts'
import '../../kernel/linux/lazy-inspect.ts'
import '../../kernel/linux/lazy-nftables.ts'
import '../../kernel/linux/lazy-own-connections.ts'
import '../../kernel/linux/lazy-tc.ts'
import '../../kernel/nftables/kept-off.ts'
import '../../kernel/tc/clsact.ts'
import '../../kernel/tc/loopback-guard.ts'
import '../../sys/stdio-wait.ts'
