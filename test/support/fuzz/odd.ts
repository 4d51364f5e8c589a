// Odd values for a config, an environment or a record, by the key where they are put. In: a key. Out: lists.
import { rawValue, type Tree } from './tree.ts'

/** Texts that are odd anywhere. */
export const ODD_TEXTS: readonly string[] = [
  ...['', ' ', '.', '..', '/', '//', '../../etc', '-', '-1', '--help', '0', '0x10', '1e3', 'null', 'true'],
  ...[
    '\0',
    'a\0b',
    '\ud800',
    'a\udfffb',
    '\u202e',
    '\ufeff',
    '\n',
    'a\nb',
    '\t',
    '\u001b[2J',
    'ä'.repeat(15),
  ],
  ...['x'.repeat(16), 'x'.repeat(256), 'x'.repeat(5_000), '%s%n', '$(reboot)', '; reboot', "'", '"', '\\'],
  ...['__proto__', 'constructor', 'toString', 'lo', 'all', 'default', 'nope'],
]

const ODD_NUMBERS: readonly Tree[] = [
  ...[0, -1, 1, 0.5, -0.5, 67, 68, 1_280, 9_001, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32],
  ...[2 ** 53, -(2 ** 53), 1e300, -1e300],
  ...['-0', '1.0', '1e1', '1e999', '-1e999', '123456789012345678901234567890', '1e-400'].map(rawValue),
  // Not JSON.
  ...['01', '0x1', 'NaN', 'Infinity', '+1', '.5', '1.', 'undefined', ''].map(rawValue),
]

const ODD_SHAPES: readonly Tree[] = [null, true, false, [], {}, [null], [[]], { '': '' }, ['x'], [0]]

const ADDRESSES: readonly string[] = [
  ...[
    '10.9.0.5',
    '10.9.0.5/24',
    '10.9.0.5/33',
    '10.9.0.5/-1',
    '10.9.0/24',
    '010.009.000.005/24',
    '10.9.0.300/24',
  ],
  ...[
    '0.0.0.0',
    '0.0.0.0/0',
    '127.0.0.1',
    '127.0.0.1/8',
    '255.255.255.255',
    '224.0.0.1/24',
    '169.254.0.1/16',
  ],
  ...[
    '::',
    '::/0',
    '::1',
    '::1/128',
    'fe80::1/64',
    'ff02::1/64',
    'fd00:9::5/64',
    'fd00:9::5/129',
    'fd00:9::5%lo',
  ],
  ...['::ffff:10.1.0.1', '::ffff:192.0.2.1/96', '10.1.0.1', 'fd00:1::1', '1.2.3.4.5', '1', ':', '/'],
]

const MACS: readonly string[] = [
  ...[
    '00:00:00:00:00:00',
    'ff:ff:ff:ff:ff:ff',
    '01:00:5e:00:00:01',
    '02:00:00:00:00',
    '02:00:00:00:00:00:00',
  ],
  ...['02-00-00-00-00-09', '0200.0000.0009', '02:00:00:00:00:0g', '2:0:0:0:0:9', '02:00:00:00:00:AB'],
]

/** Paths to all kinds of files; the bed has made those below /run/fuzz. No path leads to a file that is needed. */
export const PATHS: readonly string[] = [
  ...['/nope/nope', 'relative/path', '/', '/dev/null', '/dev/full', '/proc/self/mem', '/proc/1/root/nope'],
  ...['/run/fuzz/loop', '/run/fuzz/dangling', '/run/fuzz/file', '/run/fuzz/file/below', '/run/fuzz/folder'],
  ...['/run/fuzz/../fuzz/folder', `/run/fuzz/${'x'.repeat(300)}`, `/${'x/'.repeat(2_500)}`, '/run/fuzz/a\0b'],
]

/** Places where a log may be written, and places where it never may: the snapshots see the latter. */
export const LOG_FILES: readonly Tree[] = [
  ...[
    '/var/log/fuzz.log',
    '/var/log/fuzz/nope/a.log',
    '/dev/stdout',
    '/dev/null',
    '/run/fuzz/fifo',
    '/run/fuzz/loop',
  ],
  ...[
    '/srv/trap/file',
    '/run/fuzz/to-trap',
    '/var/log/../../srv/trap/file',
    '/etc/vf-flower/a',
    'a.log',
    '',
    7,
    '/',
  ],
]

const VERSIONS: readonly Tree[] = [
  ...[
    '0.1.0',
    '0.2.0',
    '0.3.0',
    '0.3.1',
    '0.4.0',
    '1.0.0',
    '1.1.0',
    '1.2.0',
    '2.0.0',
    '1.0',
    'v1.0.0',
    '01.0.0',
  ],
  ...['1.0.0-rc1', '1.0.0 ', '-1.0.0', 1, 1.1],
]

const BY_KEY: readonly (readonly [key: RegExp, values: readonly Tree[]])[] = [
  [/^cniVersion$/i, VERSIONS],
  [/mac$|^hwaddr$/i, MACS],
  [/address|^dst$|^gw$|gateway|hostIP|subnet|nameserver/i, ADDRESSES],
  [/dir$|sandbox|path|^device$|^uplink$|^pf$/i, PATHS],
  [/^protocol$/i, ['TCP', 'sctp', 'icmp', 'tcp ', 6]],
  [
    /^(device|name|ifname|uplink|pf|master|bridge)$/i,
    ['lo', 'd0', 'fz0', 'fz0.1', 'eth0', 'fz%d', 'x'.repeat(15)],
  ],
  [/rate|burst/i, [1, 999, 1_000, 8e9, 1e15, 1e16, 2 ** 32, rawValue('18446744073709551615')]],
  [/port$/i, [0, 1, 65_535, 65_536, '80', 8_080.5]],
]

/** Values that could stand at `key` and do not belong there; the first lists are about this key alone. */
export function oddValuesFor(key: string | number): readonly (readonly Tree[])[] {
  const own = BY_KEY.filter(([pattern]) => pattern.test(String(key))).map(([, values]) => values)
  return [...own, ...own, ODD_TEXTS, ODD_NUMBERS, ODD_SHAPES]
}

/** Keys that the plugins know, and keys that they do not know. */
export const KEYS: readonly string[] = [
  ...[
    'deviceID',
    'pciBusID',
    'device',
    'hwaddr',
    'kernelpath',
    'pf',
    'vlan',
    'vlanQoS',
    'vlanProto',
    'mac',
    'spoofchk',
  ],
  ...[
    'trust',
    'link_state',
    'min_tx_rate',
    'max_tx_rate',
    'mtu',
    'bridge',
    'announce',
    'ipam',
    'dns',
    'stateDir',
  ],
  ...[
    'gcLive',
    'logLevel',
    'logFile',
    'logFile',
    'runtimeConfig',
    'capabilities',
    'args',
    'prevResult',
    'offload',
    'nat',
    'directSubnets',
  ],
  ...[
    'uplink',
    'snat',
    'masqAll',
    'localhost',
    'allowedHostPorts',
    'allowListening',
    'allowServicePorts',
    'allowConnected',
    'backend',
    'markMasqBit',
  ],
  ...[
    'externalSetMarkChain',
    'conditionsV4',
    'ingressRate',
    'ingressBurst',
    'egressRate',
    'egressBurst',
    'bandwidth',
  ],
  ...[
    'cniVersion',
    'name',
    'type',
    '__proto__',
    'constructor',
    'x',
    'cni.dev/valid-attachments',
    'allowNodeDevice',
  ],
]
