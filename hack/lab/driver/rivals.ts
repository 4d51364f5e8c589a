// Things that other software on a node hangs on an interface: BPF programs that answer every frame with one value, ports of
// Open vSwitch. In: interface numbers; out: what was made. Every exported function can be called by its name.
import { attrs } from '../../../src/netlink/codec/attrs.ts'
import { struct } from '../../../src/netlink/codec/struct.ts'
import { bytes, cstr, s32, u32 } from '../../../src/netlink/codec/wire.ts'
import { ctrlMessage, genlmsghdr, getFamily } from '../../../src/netlink/genl/genl.ts'
import { family, NLM_F } from '../../../src/netlink/message.ts'
import { setLink } from '../../../src/netlink/rtnl/link.ts'
import { NetlinkError, NetlinkSocket } from '../../../src/netlink/socket.ts'
import { tcxIngressPrograms } from '../../../src/sys/bpf.ts'
import { bpf, close, pointerTo } from '../../../src/sys/ffi.ts'
import { openNetlink } from '../../../src/sys/netlink.ts'
import { raw } from './builders.ts'

const BPF_PROG_LOAD = 5
const BPF_PROG_ATTACH = 8
const BPF_PROG_DETACH = 9
const BPF_PROG_GET_FD_BY_ID = 13
const BPF_TCX_INGRESS = 46
const BPF_PROG_TYPE_SCHED_CLS = 3
const BPF_PROG_TYPE_XDP = 6

/** A program of two instructions: r0 = value, exit. With `twisted` nobody can tell the value from the instructions. */
function load(type: number, value: number, name: string, twisted = false): number {
  const code = new DataView(new ArrayBuffer(twisted ? 24 : 16))
  code.setUint8(0, 0xb7)
  code.setInt32(4, value, true)
  // r0 += 0
  if (twisted) code.setUint8(8, 0x07)
  code.setUint8(code.byteLength - 8, 0x95)
  const instructions = new Uint8Array(code.buffer)
  const license = new TextEncoder().encode('GPL\0')
  const attr = new DataView(new ArrayBuffer(72))
  attr.setUint32(0, type, true)
  attr.setUint32(4, instructions.length / 8, true)
  attr.setBigUint64(8, pointerTo(instructions), true)
  attr.setBigUint64(16, pointerTo(license), true)
  new Uint8Array(attr.buffer).set(new TextEncoder().encode(name), 48)
  return bpf(BPF_PROG_LOAD, new Uint8Array(attr.buffer))
}

function numbers(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer)
}

/** Puts a program on the tcx ingress hook that answers `value` (-1: the next one, 0: accept, 2: drop). */
export function attachTcx(ifindex: number, value: number, name: string, twisted = false): void {
  const fd = load(BPF_PROG_TYPE_SCHED_CLS, value, name, twisted)
  bpf(BPF_PROG_ATTACH, numbers(ifindex, fd, BPF_TCX_INGRESS, 0, 0, 0, 0, 0))
  close(fd)
}

/** Takes all programs off the tcx ingress hook; how many there were. */
export function detachTcx(ifindex: number): number {
  const ids = tcxIngressPrograms(ifindex)
  for (const id of ids) {
    const fd = bpf(BPF_PROG_GET_FD_BY_ID, numbers(id, 0, 0))
    bpf(BPF_PROG_DETACH, numbers(ifindex, fd, BPF_TCX_INGRESS, 0, 0, 0, 0, 0))
    close(fd)
  }
  return ids.length
}

/** XDP in the generic way with a program that answers `value` (2: pass); undefined takes it off. */
export function setXdp(ifindex: number, value: number | undefined, name: string): void {
  const fd = value === undefined ? -1 : load(BPF_PROG_TYPE_XDP, value, name)
  const socket = new NetlinkSocket(openNetlink(0))
  // XDP_FLAGS_SKB_MODE
  socket.request(setLink({ ifi_index: ifindex, IFLA_XDP: { IFLA_XDP_FD: fd, IFLA_XDP_FLAGS: 2 } }))
  socket.close()
  if (fd >= 0) close(fd)
}

/** A filter that is a BPF program with the verdict `value` (-1: the next filter, 0: accept). */
export function addBpfFilter(ifindex: number, prio: number, value: number, name: string): void {
  const fd = load(BPF_PROG_TYPE_SCHED_CLS, value, name)
  const socket = new NetlinkSocket(openNetlink(0))
  socket.request(
    raw('RTM_NEWTFILTER', NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL, {
      tcm_ifindex: ifindex,
      tcm_parent: 0xfffffff2,
      // ETH_P_ALL in network order.
      tcm_info: prio * 0x10000 + 0x0300,
      TCA_KIND: 'bpf',
      TCA_OPTIONS: { TCA_BPF_FD: fd, TCA_BPF_NAME: name, TCA_BPF_FLAGS: 1 },
    }),
  )
  socket.close()
  close(fd)
}

// linux/openvswitch.h: struct ovs_header, OVS_DP_ATTR_*, OVS_VPORT_ATTR_*.
const ovs_header = struct('ovs_header', [...genlmsghdr.fields, ['dp_ifindex', s32]])
const datapath = family(
  ovs_header,
  attrs('OVS_DP_ATTR', { OVS_DP_ATTR_NAME: [1, cstr(16)], OVS_DP_ATTR_UPCALL_PID: [2, u32] }),
)
const vport = family(
  ovs_header,
  attrs('OVS_VPORT_ATTR', {
    OVS_VPORT_ATTR_TYPE: [2, u32],
    OVS_VPORT_ATTR_NAME: [3, cstr(16)],
    OVS_VPORT_ATTR_UPCALL_PID: [5, bytes(4)],
  }),
)

/** A datapath `name` with one port of the node, as Open vSwitch makes them. */
export function addOvsPort(name: string, port: string): void {
  const socket = new NetlinkSocket(openNetlink(16))
  const idOf = (wanted: string): number => {
    const [answer] = socket.request(getFamily(wanted)).messages
    return (answer === undefined ? undefined : ctrlMessage.decode(answer.payload).CTRL_ATTR_FAMILY_ID) ?? 0
  }
  const made = socket.request({
    ...datapath.request('OVS_DP_CMD_NEW', idOf('ovs_datapath'), NLM_F.NLM_F_ECHO, {
      cmd: 1,
      version: 2,
      OVS_DP_ATTR_NAME: name,
      OVS_DP_ATTR_UPCALL_PID: 0,
    }),
  })
  const header = made.echo === undefined ? undefined : ovs_header.read(made.echo.payload, 0, 8)
  socket.request(
    vport.request('OVS_VPORT_CMD_NEW', idOf('ovs_vport'), 0, {
      cmd: 1,
      version: 1,
      dp_ifindex: header?.dp_ifindex ?? 0,
      OVS_VPORT_ATTR_TYPE: 1,
      OVS_VPORT_ATTR_NAME: port,
      OVS_VPORT_ATTR_UPCALL_PID: new Uint8Array(4),
    }),
  )
  socket.close()
}

/** Removes a datapath with its ports; nothing happens when there is none of that name, or no Open vSwitch. */
export function removeOvs(name: string): void {
  const socket = new NetlinkSocket(openNetlink(16))
  try {
    const [answer] = socket.request(getFamily('ovs_datapath')).messages
    const id = answer === undefined ? undefined : ctrlMessage.decode(answer.payload).CTRL_ATTR_FAMILY_ID
    socket.request(
      datapath.request('OVS_DP_CMD_DEL', id ?? 0, 0, { cmd: 2, version: 2, OVS_DP_ATTR_NAME: name }),
    )
  } catch (error) {
    if (!(error instanceof NetlinkError) || (error.code !== 'ENOENT' && error.code !== 'ENODEV')) throw error
  } finally {
    socket.close()
  }
}
