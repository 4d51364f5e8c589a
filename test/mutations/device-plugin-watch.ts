import type { Mutation } from './mutation.ts'

/** Mistakes in how the device plugin watches the node. */
export const devicePluginWatch: readonly Mutation[] = [
  {
    id: 'inventory-watch-pods',
    file: 'device-plugin/inventory/watch/links.ts',
    mistake: 'Each interface of a pod leads to a scan.',
    old: '    if (!wasOn && !this.#isOnHardware(index)) return undefined\n',
    now: '    void wasOn\n',
    test: ['device-plugin/watch/links.test.ts', 'is no change, whatever happens to it'],
    tier: 'quick',
  },
  {
    id: 'inventory-watch-overlap',
    file: 'device-plugin/inventory/watch/window.ts',
    mistake: 'A change during a scan starts a second scan beside the first.',
    old: 'if (!this.#isRunning && this.#callOff === undefined) this.#wait(now)',
    now: 'if (this.#callOff === undefined) this.#wait(now)',
    test: [
      'device-plugin/watch/window.test.ts',
      'never runs twice at a time; what comes meanwhile is one more window',
    ],
    tier: 'quick',
  },
  {
    id: 'inventory-watch-stale-route',
    file: 'device-plugin/inventory/watch/watch.ts',
    mistake: 'A default route that comes back after its interface was down counts as known.',
    old: '        if (isLink && change !== undefined) host.forget()\n',
    now: '',
    test: [
      'device-plugin/watch/watch.test.ts',
      'a route that comes back after its interface was down is a change',
    ],
    tier: 'quick',
  },
  {
    id: 'netlink-uevents-joined',
    file: 'src/netlink/uevent.ts',
    mistake: 'Of uevents that wait at the same time only the first is read.',
    old: '      events.push({',
    now: '      if (events.length === 0) events.push({',
    test: ['device-plugin/watch/uevents.test.ts', 'has the same events, however datagrams are joined'],
    tier: 'quick',
  },
  {
    id: 'netlink-uevent-filter',
    file: 'src/netlink/uevent-filter.ts',
    mistake: 'The socket filter drops uevents of devices too.',
    old: "const virtual = '/devices/virtual/net/'",
    now: "const virtual = '/dev'",
    test: [
      'device-plugin/watch/uevent-filter.test.ts',
      'of an interface without a device is dropped, of others it is not',
    ],
    tier: 'quick',
  },
  {
    id: 'sys-notifications-descriptor',
    file: 'src/sys/notifications.ts',
    mistake: 'Each overrun leaves a socket open.',
    old: '.finally(() => close(fd))',
    now: '.finally(() => undefined)',
    test: [
      'native/device-plugin/watch.test.ts',
      'an overrun is told, leads to a full call, and the watch hears what comes after',
    ],
    tier: 'quick',
  },
]
