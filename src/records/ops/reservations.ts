/** Operations on host ports and tables of nftables, as they lie on the disk (table.ts). */
import type { ReservationOp } from '../../ops/op.ts'
import { at, flag, list, maybe, objectOf, oneOf } from '../form.ts'
import { cidr, ip, port, proto, side, words } from '../values.ts'
import type { Member, OpFields, OpForms } from './types.ts'

const ports: OpFields<'ports.reserve'> = {
  keys: at(
    'keys',
    list(
      objectOf<Member<'ports.reserve', 'keys'>[number]>({
        address: at('address', ip),
        proto: at('proto', proto),
        port: at('port', port),
        toAddress: at('toAddress', ip),
        toPort: at('toPort', port),
      }),
    ),
  ),
  masquerade: at(
    'masquerade',
    list(
      objectOf<Member<'ports.reserve', 'masquerade'>[number]>({
        source: at('source', cidr),
        address: at('address', ip),
        proto: at('proto', proto),
        port: at('port', port),
      }),
    ),
  ),
  owner: at('owner', words),
  steered: maybe('steered', flag),
}
const localPorts: OpFields<'localports.reserve'> = {
  ports: at('ports', list(port)),
  were: at('were', list(port)),
}
const table: OpFields<'nft.load'> = {
  side: at('side', side),
  table: at('table', words),
  text: at('text', words),
  family: maybe('family', oneOf('netdev')),
}
/** Forms of operations on host ports and tables of nftables. */
export const reservationForms: OpForms<ReservationOp['do']> = {
  'ports.reserve': ['ports.reserve', ports],
  'ports.release': ['ports.release', ports],
  'localports.reserve': ['localports.reserve', localPorts],
  'localports.release': ['localports.release', localPorts],
  'nft.load': ['nft.load', table],
  'nft.drop': ['nft.drop', table],
}
