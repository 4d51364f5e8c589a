// A sysfs and a /dev in a temporary folder, as plain files: PCI functions, VFs, interfaces, RDMA, vDPA, vfio, subfunctions.
// Links and files are those of the kernel, so that any program that reads sysfs can be shown this folder as /sys.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type PciAddress, parsePciAddress, routingId } from '../../../src/lib/pci-address.ts'
import type { FakeFunction, FakeNetdev, FakePf, FakeRdma, FakeSf, FakeVdpa } from './descriptions.ts'
import { SysfsTree } from './sysfs-tree.ts'

/** A thousand VFs are forty thousand files, which take seconds on a disk. */
const memory = '/dev/shm'
const userspaceDrivers: readonly string[] = ['vfio-pci', 'uio_pci_generic', 'igb_uio']

/** The fake root. Remove it behind the test. */
export class FakeRoot {
  /** Stands for the folder /sys. */
  readonly sys: string
  /** Stands for the folder /dev. */
  readonly dev: string
  private readonly top: string
  private readonly tree: SysfsTree
  private readonly functions = new Map<string, FakeFunction>()
  private ifindex = 100
  private readonly numbers = new Map<string, number>()

  /** `parent` is the folder that has it, by default one in memory. */
  constructor(parent = existsSync(memory) ? memory : tmpdir()) {
    this.top = mkdtempSync(join(parent, 'fake-root-'))
    this.sys = join(this.top, 'sys')
    this.dev = join(this.top, 'dev')
    this.tree = new SysfsTree(this.sys)
    mkdirSync(this.dev)
    for (const folder of ['bus/pci/devices', 'bus/pci/drivers', 'class/net', 'devices/system/node'])
      this.tree.folder(folder)
    for (const folder of ['bus/auxiliary/devices', 'bus/vdpa/devices', 'kernel/iommu_groups', 'module'])
      this.tree.folder(folder)
  }

  remove(): void {
    rmSync(this.top, { recursive: true, force: true })
  }

  /** Makes a file in the fake /dev; `name` is relative to /dev: `infiniband/rdma_cm`. */
  addDeviceFile(name: string): void {
    mkdirSync(dirname(join(this.dev, name)), { recursive: true })
    writeFileSync(join(this.dev, name), '')
  }

  removeDeviceFile(name: string): void {
    rmSync(join(this.dev, name), { force: true })
  }

  /** Path of a function's folder, in the fake root. */
  folderOf(address: string): string {
    return join(this.sys, this.placeOf(address))
  }

  /** Changes or makes one file of a function, such as `enable`. */
  setValue(address: string, file: string, value: string | number): void {
    this.tree.value(`${this.placeOf(address)}/${file}`, value)
  }

  addFunction(one: FakeFunction): void {
    const bus = Number.parseInt(one.address.slice(-7, -5), 16)
    const domain = one.address.slice(0, -8)
    const port = `${domain}:00:${(bus & 31).toString(16).padStart(2, '0')}.${bus >> 5}`
    const bridges = one.bridges ?? (bus === 0 ? [] : [port])
    for (let count = 1; count <= bridges.length; count++) this.addBridge(domain, bridges.slice(0, count))
    this.addAt([`devices/pci${domain}:00`, ...bridges, one.address].join('/'), one)
  }

  /** Adds a function with the SR-IOV capability, without VFs. */
  addPf(pf: FakePf): void {
    this.addFunction(pf)
    this.tree.values(this.placeOf(pf.address), {
      ...{ sriov_totalvfs: pf.totalVfs ?? 128, sriov_numvfs: 0, sriov_offset: pf.offset ?? 128 },
      ...{ sriov_stride: pf.stride ?? 2, sriov_vf_device: pf.vfDevice ?? '10ca', sriov_drivers_autoprobe: 1 },
    })
  }

  /** Gives a PF `count` VFs, as a write to `sriov_numvfs` does; 0 takes them away. `describe` gives each VF its own properties. */
  setVfs(pf: string, count: number, describe: (index: number) => Partial<FakeFunction> = () => ({})): void {
    const place = this.placeOf(pf)
    for (const address of this.vfs(pf)) this.removeFunction(address)
    for (const name of readdirSync(this.tree.path(place)))
      if (name.startsWith('virtfn')) this.tree.remove(`${place}/${name}`)
    const parent = this.functions.get(pf)
    for (let index = 0; index < count; index++) {
      const address = this.vfAddress(pf, index)
      this.addAt(`${dirname(place)}/${address}`, {
        ...{ address, vendor: parent?.vendor ?? '8086', device: this.tree.read(`${place}/sriov_vf_device`) },
        ...(parent?.numaNode === undefined ? {} : { numaNode: parent.numaNode }),
        ...describe(index),
      })
      this.tree.link(`${this.placeOf(address)}/physfn`, place)
      this.tree.link(`${place}/virtfn${index}`, this.placeOf(address))
    }
    this.tree.value(`${place}/sriov_numvfs`, count)
  }

  /** Addresses of the VFs that the PF has now, by index. */
  vfs(pf: string): readonly PciAddress[] {
    const count = Number(this.tree.read(`${this.placeOf(pf)}/sriov_numvfs`))
    return Array.from({ length: count }, (_, index) => this.vfAddress(pf, index))
  }

  /** The address of a VF, by the offset and stride of the PF's capability. */
  vfAddress(pf: string, index: number): PciAddress {
    const [offset, stride] = ['sriov_offset', 'sriov_stride'].map((file) =>
      Number(this.tree.read(`${this.placeOf(pf)}/${file}`)),
    )
    const id = routingId(knownAddress(pf)) + (offset ?? 0) + (stride ?? 0) * index
    const [bus, device] = [id >> 8, (id >> 3) & 31].map((part) => part.toString(16).padStart(2, '0'))
    return knownAddress(`${pf.slice(0, -8)}:${bus}:${device}.${id & 7}`)
  }

  /** Takes a function away, as a hot unplug does. VFs of a PF go with setVfs. */
  removeFunction(address: string): void {
    const place = this.placeOf(address)
    this.unbind(address)
    this.leaveGroup(address)
    this.tree.remove(`bus/pci/devices/${address}`)
    this.tree.remove(place)
    this.functions.delete(address)
  }

  /**
   * Binds a driver: for user space with the files of vfio or UIO; the driver of the description with what it describes of
   * interfaces, RDMA and vDPA.
   */
  bind(address: string, driver: string): void {
    const place = this.placeOf(address)
    if (existsSync(this.tree.path(`${place}/driver`))) this.unbind(address)
    this.tree.link(`${place}/driver`, `bus/pci/drivers/${driver}`)
    this.tree.folder(`bus/pci/drivers/${driver}`)
    this.tree.link(`bus/pci/drivers/${driver}/${address}`, place)
    this.writeUevent(address, driver)
    if (!userspaceDrivers.includes(driver)) this.offer(address, driver)
    else if (driver === 'vfio-pci') this.addVfio(address, place)
    else this.addUio(place)
  }

  private offer(address: string, driver: string): void {
    const one = this.functions.get(address)
    if (one?.driver !== driver) return
    for (const netdev of one.netdevs ?? []) this.addNetdev(address, netdev)
    if (one.rdma !== undefined) this.addRdma(address, one.rdma)
    if (one.vdpa !== undefined) this.addVdpa(address, one.vdpa)
  }

  private addVfio(address: string, place: string): void {
    if (!existsSync(this.tree.path(`${place}/iommu_group`)))
      this.joinGroup(address, this.next('noiommu', 64), 'vfio-noiommu')
    const name = `vfio${this.next('vfio')}`
    this.tree.values(`${place}/vfio-dev/${name}`, { dev: `511:${name.slice(4)}` })
    this.tree.link(`class/vfio-dev/${name}`, `${place}/vfio-dev/${name}`)
  }

  /** Takes the driver away, and interfaces, RDMA and vDPA with it. */
  unbind(address: string): void {
    const place = this.placeOf(address)
    for (const name of this.namesIn(`${place}/net`)) this.removeNetdev(address, name)
    this.tree.remove(`${place}/net`)
    this.removeRdma(address)
    const vdpas = this.namesIn(place).filter((name) => existsSync(this.tree.path(`bus/vdpa/devices/${name}`)))
    for (const name of vdpas) this.removeVdpa(address, name)
    const link = `${place}/driver`
    if (existsSync(this.tree.path(link))) {
      for (const driver of this.namesIn('bus/pci/drivers'))
        this.tree.remove(`bus/pci/drivers/${driver}/${address}`)
      this.tree.remove(link)
    }
    for (const kind of ['vfio-dev', 'uio']) {
      for (const name of this.namesIn(`${place}/${kind}`)) this.tree.remove(`class/${kind}/${name}`)
      this.tree.remove(`${place}/${kind}`)
    }
    this.tree.value(`${place}/enable`, 0)
    this.writeUevent(address, undefined)
    const group = `kernel/iommu_groups/${this.groupOf(address)}`
    if (existsSync(this.tree.path(`${group}/name`)) && this.tree.read(`${group}/name`) === 'vfio-noiommu')
      this.leaveGroup(address)
  }

  /** Adds an interface of a function or subfunction: by PCI address or name on the auxiliary bus. */
  addNetdev(device: string, netdev: FakeNetdev): number {
    return this.addNetdevAt(this.placeOf(device), netdev)
  }

  /** Adds a virtio device below a function, with an interface. */
  addVirtioNetdev(address: string, virtio: string, netdev: FakeNetdev): number {
    const place = `${this.placeOf(address)}/${virtio}`
    this.tree.link(`${place}/driver`, 'bus/virtio/drivers/virtio_net')
    this.tree.link(`bus/virtio/devices/${virtio}`, place)
    return this.addNetdevAt(place, netdev)
  }

  private addNetdevAt(device: string, netdev: FakeNetdev): number {
    const { name, up = true, carrier = up } = netdev
    const ifindex = netdev.ifindex ?? ++this.ifindex
    const place = `${device}/net/${name}`
    this.tree.values(place, {
      ...{ address: netdev.mac ?? macOf(ifindex), ifindex, type: netdev.type ?? 1, mtu: 1500, dev_id: '0x0' },
      ...{ dev_port: 0, flags: up ? '0x1003' : '0x1002', operstate: up && carrier ? 'up' : 'down' },
      // The kernel answers EINVAL for the carrier of an interface that is down.
      ...{ carrier: up ? Number(carrier) : undefined, uevent: `INTERFACE=${name}\nIFINDEX=${ifindex}` },
      ...{ phys_port_name: netdev.physPortName, phys_switch_id: netdev.physSwitchId, iflink: ifindex },
      phys_port_id: netdev.physPortId,
    })
    this.tree.link(`${place}/device`, device)
    this.tree.link(`${place}/subsystem`, 'class/net')
    this.tree.link(`class/net/${name}`, place)
    return ifindex
  }

  /** Takes an interface away, as its move to another namespace does; the folder `net` stays. */
  removeNetdev(device: string, name: string): void {
    this.tree.remove(`class/net/${name}`)
    this.tree.remove(`${this.placeOf(device)}/net/${name}`)
  }

  /** Adds a bond, bridge, VLAN or the like. */
  addSoftNetdev(name: string, values: Readonly<Record<string, string | number>> = {}): void {
    this.tree.values(`devices/virtual/net/${name}`, { ifindex: ++this.ifindex, type: 1, ...values })
    this.tree.link(`class/net/${name}`, `devices/virtual/net/${name}`)
  }

  addRdma(device: string, rdma: FakeRdma): void {
    const place = this.placeOf(device)
    const pKeys = rdma.pKeys ?? ['0xffff']
    const keys = Object.fromEntries(pKeys.map((key, index) => [index, key]))
    this.tree.values(`${place}/infiniband/${rdma.name}/ports/1/pkeys`, keys)
    this.tree.link(`class/infiniband/${rdma.name}`, `${place}/infiniband/${rdma.name}`)
    const files = [
      ['infiniband_verbs', rdma.uverbs ?? `uverbs${this.next('uverbs')}`],
      ['infiniband_mad', rdma.umad],
      ['infiniband_mad', rdma.issm],
      ['infiniband_cm', rdma.ucm],
    ] as const
    for (const [kind, name] of files) {
      if (name === undefined) continue
      this.tree.values(`${place}/${kind}/${name}`, { ibdev: rdma.name, dev: '231:0' })
      this.tree.link(`${place}/${kind}/${name}/device`, place)
      this.tree.link(`class/${kind}/${name}`, `${place}/${kind}/${name}`)
      this.addDeviceFile(`infiniband/${name}`)
    }
  }

  /** Takes the RDMA device away, as a change of the driver does. */
  removeRdma(device: string): void {
    const place = this.placeOf(device)
    for (const kind of ['infiniband', 'infiniband_verbs', 'infiniband_mad', 'infiniband_cm']) {
      for (const name of this.namesIn(`${place}/${kind}`)) this.tree.remove(`class/${kind}/${name}`)
      this.tree.remove(`${place}/${kind}`)
    }
  }

  /** Moves the RDMA device to a pod's namespace: its own folder is hidden, the files of programs stay. */
  hideRdma(device: string): void {
    const folder = `${this.placeOf(device)}/infiniband`
    for (const name of this.namesIn(folder)) {
      this.tree.remove(`class/infiniband/${name}`)
      this.tree.remove(`${folder}/${name}`)
    }
  }

  addVdpa(address: string, { name, driver }: FakeVdpa): void {
    const place = `${this.placeOf(address)}/${name}`
    this.tree.folder(place)
    this.tree.link(`${place}/subsystem`, 'bus/vdpa')
    this.tree.link(`bus/vdpa/devices/${name}`, place)
    if (driver === undefined) return
    this.tree.folder(`bus/vdpa/drivers/${driver}`)
    this.tree.link(`${place}/driver`, `bus/vdpa/drivers/${driver}`)
    this.tree.link(`bus/vdpa/drivers/${driver}/${name}`, place)
    if (driver !== 'vhost_vdpa') return
    const file = `vhost-vdpa-${this.next('vhost-vdpa')}`
    this.tree.values(`${place}/${file}`, { dev: `509:${file.slice(11)}` })
    this.addDeviceFile(file)
  }

  removeVdpa(address: string, name: string): void {
    for (const driver of this.namesIn('bus/vdpa/drivers'))
      this.tree.remove(`bus/vdpa/drivers/${driver}/${name}`)
    this.tree.remove(`bus/vdpa/devices/${name}`)
    this.tree.remove(`${this.placeOf(address)}/${name}`)
  }

  /** Adds a subfunction, and the driver of its kind (`mlx5_core.sf` of its module). */
  addSf({ pf, name, sfnum, netdevs = [], rdma }: FakeSf): void {
    const place = `${this.placeOf(pf)}/${name}`
    const [module = '', kind = ''] = name.split('.')
    this.tree.values(place, { sfnum, uevent: `MODALIAS=auxiliary:${module}.${kind}` })
    this.tree.link(`${place}/subsystem`, 'bus/auxiliary')
    this.tree.link(`bus/auxiliary/devices/${name}`, place)
    this.tree.folder(`bus/auxiliary/drivers/${module}.${kind}`)
    this.tree.link(`${place}/driver`, `bus/auxiliary/drivers/${module}.${kind}`)
    for (const netdev of netdevs) this.addNetdev(name, netdev)
    if (rdma !== undefined) this.addRdma(name, rdma)
  }

  removeSf(name: string): void {
    const place = this.placeOf(name)
    for (const netdev of this.namesIn(`${place}/net`)) this.removeNetdev(name, netdev)
    this.removeRdma(name)
    this.tree.remove(`bus/auxiliary/devices/${name}`)
    this.tree.remove(place)
  }

  private addAt(place: string, one: FakeFunction): void {
    const { address, vendor = '8086', device = '10c9', pciClass = '020000' } = one
    this.functions.set(address, one)
    this.places.set(address, place)
    this.tree.values(place, {
      ...{ vendor: `0x${vendor}`, device: `0x${device}`, class: `0x${pciClass}`, revision: '0x01' },
      ...{ subsystem_vendor: `0x${vendor}`, subsystem_device: '0x0000', modalias: modaliasOf(one) },
      ...{ numa_node: one.numaNode ?? -1, enable: 0, acpi_index: one.acpiIndex, driver_override: '(null)' },
    })
    this.writeUevent(address, undefined)
    this.tree.link(`${place}/subsystem`, 'bus/pci')
    this.tree.link(`bus/pci/devices/${address}`, place)
    if (one.iommuGroup !== undefined) this.joinGroup(address, one.iommuGroup, undefined)
    if (one.driver !== undefined) this.bind(address, one.driver)
  }

  private addBridge(domain: string, path: readonly string[]): void {
    const address = path.at(-1) ?? ''
    if (this.places.has(address)) return
    const bridge = { address, vendor: '8086', device: '3420', pciClass: '060400', driver: 'pcieport' }
    this.addAt([`devices/pci${domain}:00`, ...path].join('/'), bridge)
  }

  private writeUevent(address: string, driver: string | undefined): void {
    const one = this.functions.get(address)
    const { vendor = '8086', device = '10c9', pciClass = '020000' } = one ?? {}
    const id = `${vendor}:${device}`.toUpperCase()
    const lines = [
      ...(driver === undefined ? [] : [`DRIVER=${driver}`]),
      ...[`PCI_CLASS=${pciClass.replace(/^0+/, '').toUpperCase()}`, `PCI_ID=${id}`],
      ...[`PCI_SUBSYS_ID=${vendor.toUpperCase()}:0000`, `PCI_SLOT_NAME=${address}`],
      `MODALIAS=${modaliasOf({ ...one, address })}`,
    ]
    this.tree.value(`${this.placeOf(address)}/uevent`, lines.join('\n'))
  }

  private joinGroup(address: string, group: number, name: string | undefined): void {
    const folder = `kernel/iommu_groups/${group}`
    this.tree.values(folder, { name, type: name === undefined ? 'DMA' : undefined })
    this.tree.link(`${folder}/devices/${address}`, this.placeOf(address))
    this.tree.link(`${this.placeOf(address)}/iommu_group`, folder)
    this.groups.set(address, group)
  }

  private leaveGroup(address: string): void {
    const folder = `kernel/iommu_groups/${this.groupOf(address)}`
    this.tree.remove(`${folder}/devices/${address}`)
    this.tree.remove(`${this.placeOf(address)}/iommu_group`)
    this.groups.delete(address)
    if (this.namesIn(`${folder}/devices`).length === 0) this.tree.remove(folder)
  }

  private addUio(place: string): void {
    const name = `uio${this.next('uio')}`
    this.tree.values(`${place}/uio/${name}`, { name: 'uio_pci_generic', version: '0.01.0' })
    this.tree.link(`class/uio/${name}`, `${place}/uio/${name}`)
    this.tree.value(`${place}/enable`, 1)
  }

  private readonly groups = new Map<string, number>()
  private readonly places = new Map<string, string>()

  private groupOf(address: string): number | 'none' {
    return this.groups.get(address) ?? 'none'
  }

  /** The folder of a function or subfunction, relative to /sys. */
  private placeOf(device: string): string {
    const known = this.places.get(device)
    if (known !== undefined) return known
    for (const place of this.places.values())
      if (existsSync(this.tree.path(`${place}/${device}`))) return `${place}/${device}`
    throw new UnknownDevice(device)
  }

  private namesIn(folder: string): readonly string[] {
    const path = this.tree.path(folder)
    return existsSync(path) ? readdirSync(path) : []
  }

  private next(kind: string, first = 0): number {
    const number = this.numbers.get(kind) ?? first
    this.numbers.set(kind, number + 1)
    return number
  }
}

/** The fake root has no such function. */
export class UnknownDevice extends Error {
  constructor(device: string) {
    super(`The fake root has no device ${device}`)
    this.name = 'UnknownDevice'
  }
}

/** A MAC for an interface that was given none. */
export function macOf(ifindex: number): string {
  const [high, low] = [ifindex >> 8, ifindex & 255].map((part) => part.toString(16).padStart(2, '0'))
  return `02:00:00:00:${high}:${low}`
}

/** As pci_uevent and modalias_show of drivers/pci have it: upper-case digits. */
function modaliasOf({ vendor = '8086', device = '10c9', pciClass = '020000' }: FakeFunction): string {
  const [id, product] = [vendor, device].map((hex) => hex.toUpperCase().padStart(8, '0'))
  const [base, sub, programming] = [0, 2, 4].map((start) => pciClass.slice(start, start + 2).toUpperCase())
  return `pci:v${id}d${product}sv${id}sd00000000bc${base}sc${sub}i${programming}`
}

function knownAddress(text: string): PciAddress {
  const address = parsePciAddress(text)
  if (address === undefined) throw new UnknownDevice(text)
  return address
}
