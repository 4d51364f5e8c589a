/** Forms of single values: a value that passes is one that a request to the kernel can be made of. */
import { isInterfaceName, isLinkName, isPlainName } from '../lib/interface-name.ts'
import { tryParseCidr, tryParseIp } from '../lib/ip.ts'
import { tryParseMac } from '../lib/mac.ts'
import { parsePciAddress } from '../lib/pci-address.ts'
import { type Form, int, number, oneOf, text } from './form.ts'

const textThat = (fits: (text: string) => boolean) =>
  text((value) => typeof value === 'string' && fits(value))
/** Most texts that {@link parsed} remembers. */
const mostKnown = 64
/** A record has the same few addresses hundreds of times: those that were parsed last are known. */
const parsed = (parse: (text: string) => unknown) => {
  const known = new Set<string>()
  return textThat((value) => {
    if (known.has(value)) return true
    if (parse(value) === undefined) return false
    if (known.size === mostKnown) known.clear()
    known.add(value)
    return true
  })
}
const integer = (low: number, high: number) =>
  int((value) => Number.isInteger(value) && (value as number) >= low && (value as number) <= high)

/** Text that a C string can hold. */
export const words = textThat((value) => !value.includes('\0'))
/** Text of any kind: nothing is asked of the kernel with it. */
export const anyText = textThat(() => true)
/** A name by which the kernel can be asked for an interface. */
export const named = textThat(isLinkName)
/** A name that an interface can get. */
export const newName = textThat(isInterfaceName)
/** A name that is no pattern for one either. */
export const plainName = textThat(isPlainName)
/** A bridge, bond or VRF; empty stands for none. */
export const masterName = textThat((value) => value === '' || isLinkName(value))
/** Of an interface: at most IFALIASZ of linux/if.h less the end of the string, in bytes. */
export const alias = textThat((value) => !value.includes('\0') && Buffer.byteLength(value) <= 255)

export const bit8 = integer(0, 255)
export const bit16 = integer(0, 0xffff)
export const u32 = integer(0, 0xffffffff)
/** struct ifinfomsg has it with a sign. */
export const ifindex = integer(1, 0x7fffffff)
/** Number by which the host knows another namespace, -1 for the host's own. */
export const nsid = integer(-1, 0x7fffffff)
export const port = integer(0, 0xffff)
/** A port that a mapping can name. */
export const mappedPort = integer(1, 0xffff)
export const vlanId = integer(0, 4095)
/** The 802.1p priority. */
export const qos = integer(0, 7)
/** Priority of a tc filter. */
export const prio = integer(1, 0xffff)
export const anyInt = int()
/** Rates and bursts: the kernel counts them in 64 bits, plans in whole numbers. */
export const amount = number((value) => typeof value === 'number' && Number.isFinite(value) && value >= 0)

export const ip = parsed(tryParseIp)
export const cidr = parsed(tryParseCidr)
/** An address alone, or a network. */
export const ipOrCidr = textThat(
  (value) => tryParseIp(value) !== undefined || tryParseCidr(value) !== undefined,
)
/** An Ethernet address. */
export const mac = parsed(tryParseMac)
/** An address of a link, as long as the kind of link has it: none, or 20 octets. */
export const linkAddress = textThat((value) => /^([0-9a-f]{2}(:[0-9a-f]{2})*)?$/.test(value))
/** The address of a PCI function. */
export const pci = parsed(parsePciAddress)

/** A cookie: 1 to 16 bytes (TCA_ACT_COOKIE). */
export const cookie = textThat((value) => /^([0-9a-f]{2}){1,16}$/.test(value))
/** A message of netlink without its header, hex. */
export const message = textThat((value) => /^([0-9a-f]{2})+$/.test(value))
/** Bytes, hex. */
export const bytes = textThat((value) => /^([0-9a-f]{2})*$/.test(value))
/** Numbers of 32 bits, hex. */
export const numbers = textThat((value) => /^([0-9a-f]{8})*$/.test(value))
/** A setting below /proc/sys/net and nowhere else. */
export const sysctl = textThat(
  (value) => value.startsWith('net/') && !value.includes('\0') && !/(^|\/)\.\.(\/|$)/.test(value),
)
/** True for the name of a file below /sys/class/net/NAME that somebody may write. */
export const isNetdevFile = (value: unknown): boolean =>
  typeof value === 'string' && /^(queues\/[rt]x-\d+\/)?\w+(\/\w+)?$/.test(value)
export const netdevFile = textThat(isNetdevFile)

export const side = oneOf('host', 'pod')
export const proto = oneOf('tcp', 'udp', 'sctp')
export const offload = oneOf('off', 'prefer', 'require')
export const family: Form<4 | 6> = oneOf(4, 6)
