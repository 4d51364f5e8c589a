import { formatPortSet } from '../../lib/port-set.ts'
import type { OpOf, ReservationOp } from '../op.ts'
import { type Kinds, sideOf } from './kind.ts'

const localPorts = 'net.ipv4.ip_local_reserved_ports'

/** Host ports that an attachment takes, and tables of nftables. */
export const reservationKinds: Kinds<ReservationOp['do']> = {
  'ports.reserve': { side: 'host', line: (op) => `nft create ${elementWords(op)}`, undo: 'ports.release' },
  'ports.release': { side: 'host', line: (op) => `nft delete ${elementWords(op)}`, undo: 'ports.reserve' },
  'localports.reserve': {
    side: 'host',
    line: (op) => `sysctl -w ${localPorts}="${formatPortSet(op.ports)},$(sysctl -n ${localPorts})"`,
    undo: 'localports.release',
  },
  'localports.release': {
    side: 'host',
    line: ({ ports, were }) =>
      `sysctl -w ${localPorts}="$(sysctl -n ${localPorts})" # without ${formatPortSet(ports.filter((port) => !were.includes(port)))}`,
    undo: 'localports.reserve',
  },
  'nft.load': { side: sideOf, line: (op) => `nft add ${tableWords(op)}`, undo: 'nft.drop' },
  'nft.drop': { side: sideOf, line: (op) => `nft delete ${tableWords(op)}`, undo: 'nft.load' },
}

function tableWords({ family, table }: OpOf<'nft.load'>): string {
  return `table ${family ?? 'inet'} ${table}`
}

function elementWords({ keys }: OpOf<'ports.reserve'>): string {
  return `element ${keys.map((key) => `${key.address}:${key.port}/${key.proto}`).join(', ')}`
}
