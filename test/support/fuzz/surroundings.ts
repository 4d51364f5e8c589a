// Things around a call that can be wrong without being said by it: descriptors, limits, folders, files of the node. In:
// nothing. Out: lists to pick from. Each change of the node comes with what puts it back.
import { CONTAINER, FUZZ, STATE } from './draft.ts'

/** Redirections of sh. A redirection of fd 1 decides whether the test can read an answer. */
export const REDIRECTIONS: readonly string[] = [
  ...['<&-', '</dev/null', '</', '0>/dev/null', `<${FUZZ}/file`],
  ...['>&-', '>/dev/full', '1</dev/null', '>/dev/null'],
  ...['2>&-', '2>/dev/full', '2</dev/null', '<&- 2>&-', '<&- >&- 2>&-', '>/dev/full 2>/dev/full'],
]

const PIPE = `${FUZZ}/pipe`
/** A stdin without blocking, which is silent at first. */
const LATE = `exec 3<&0; mkfifo ${PIPE}; (sleep 0.1; cat <&3) >${PIPE} & exec <${PIPE} 3<&-; rm ${PIPE}; perl -MFcntl -e 'fcntl(STDIN, F_SETFL, O_NONBLOCK)'`
/** A pipe without a reader, in place of a descriptor. */
const unread = (fd: 1 | 2) => `mkfifo ${PIPE}; exec 3<>${PIPE} 4>${PIPE} 3<&-; rm ${PIPE}; exec ${fd}>&4 4>&-`

/** Lines of sh that take something from the process itself. The program can start under each of these limits. */
export const HANDICAPS: readonly string[] = [
  ...[LATE, unread(1), unread(2)],
  ...[
    'ulimit -n 64',
    'ulimit -n 20',
    'ulimit -n 12',
    'ulimit -f 0',
    'ulimit -f 1',
    'ulimit -c 0',
    'ulimit -t 20',
  ],
  ...['ulimit -v 16777216', 'ulimit -v 8388608', 'ulimit -s 1024', 'ulimit -s 65536', 'umask 777', 'umask 0'],
  ...['cd /', 'cd /proc', `cd ${FUZZ}/folder`, `mkdir -p ${FUZZ}/gone; cd ${FUZZ}/gone; rmdir ${FUZZ}/gone`],
  ...[
    'trap "" PIPE',
    'trap "" TERM INT HUP',
    'exec 3</dev/null 4</dev/null 9</dev/full',
    'export LANG=xx_XX.UTF-8',
  ],
  ...['export HOME=', 'export PATH=', 'export TZ=:/dev/null', 'export TMPDIR=/nope', 'unset PATH'],
  ...['export LD_PRELOAD=/nope.so', 'export IFS=x', "export CNI_CONTAINERID=$(printf 'c\\377')"],
  ...[
    "export CNI_IFNAME=$(printf 'n\\377')",
    "export CNI_ARGS=$(printf 'K=\\377')",
    "export CNI_NETNS=$(printf '/run/\\377')",
  ],
]

/** A change of the node for one call. */
export interface Surrounding {
  readonly name: string
  readonly prepare: string
  readonly restore: string
}

const AWAY = `${FUZZ}/away`

/** Mounts a folder over the real one for the time of a call. */
const over = (folder: string, options: string): Omit<Surrounding, 'name'> => ({
  prepare: `mkdir -p ${folder} && mount -t tmpfs ${options} tmpfs ${folder}`,
  restore: `umount ${folder}`,
})
const settings = (file: string, make: string): Surrounding => ({
  name: `${file}: ${make}`,
  prepare: `at=/etc/vf-flower/${file}; mkdir -p /etc/vf-flower; ${make}`,
  restore: `rm -rf /etc/vf-flower/${file}`,
})
const SETTINGS: readonly string[] = [
  ...[
    'mkfifo $at',
    'mkdir $at',
    'ln -s $at $at',
    'ln -s /nope/nope $at',
    'ln -s /dev/zero $at',
    'printf "{" >$at',
  ],
  ...[
    'printf "[]" >$at',
    'printf "\\000\\377" >$at',
    ': >$at',
    'printf null >$at',
    'printf "{\\"level\\":7}" >$at',
  ],
]

/** Changes of folders and files that all calls share. */
export const SURROUNDINGS: readonly Surrounding[] = [
  {
    name: 'the state folder is a file',
    prepare: `mv ${STATE} ${AWAY}; echo x >${STATE}`,
    restore: `rm -rf ${STATE}; mv ${AWAY} ${STATE}`,
  },
  {
    name: 'the state folder is a link to itself',
    prepare: `mv ${STATE} ${AWAY}; ln -s ${STATE} ${STATE}`,
    restore: `rm -rf ${STATE}; mv ${AWAY} ${STATE}`,
  },
  {
    name: 'the folder above the state folder is a file',
    prepare: `mv /var/lib/cni/vf-flower ${AWAY}; mount --bind ${FUZZ}/file /var/lib/cni 2>/dev/null || mount -t tmpfs -o ro tmpfs /var/lib/cni`,
    restore: `umount /var/lib/cni; mv ${AWAY} ${STATE}`,
  },
  { name: 'the state folder is read-only', ...over(STATE, '-o ro') },
  {
    name: 'the state folder is full',
    prepare: `mount -t tmpfs -o size=64k tmpfs ${STATE}; head -c 100000 /dev/zero >${STATE}/fill 2>/dev/null; true`,
    restore: `umount ${STATE}`,
  },
  {
    name: 'the state folder has no room for another name',
    prepare: `mount -t tmpfs -o nr_inodes=2 tmpfs ${STATE}; touch ${STATE}/a 2>/dev/null; true`,
    restore: `umount ${STATE}`,
  },
  { name: '/run/vf-flower is read-only', ...over('/run/vf-flower', '-o ro') },
  {
    name: '/run/vf-flower is a file',
    prepare: `mv /run/vf-flower ${AWAY} 2>/dev/null; echo x >/run/vf-flower`,
    restore: `rm -rf /run/vf-flower; mv ${AWAY} /run/vf-flower 2>/dev/null; true`,
  },
  ...['log.json', 'policy.json'].flatMap((file) => SETTINGS.map((make) => settings(file, make))),
]

/** Objects in the place of the attachment's record, before there is a record. `SUBJECT` is the device or the network. */
export const IN_THE_WAY: readonly Surrounding[] = [
  {
    name: 'a FIFO at the record',
    prepare: 'mkfifo "$at"',
    restore: '[ ! -p "$at" ] || rm "$at"; rm -rf "$at.broken"',
  },
  {
    name: 'a folder at the record',
    prepare: 'mkdir "$at"',
    restore: '[ ! -d "$at" ] || rm -rf "$at"; rm -rf "$at.broken"',
  },
  {
    name: 'a link at the record',
    prepare: 'ln -s /nope/nope "$at"',
    restore: '[ ! -L "$at" ] || rm "$at"; rm -rf "$at.broken"',
  },
  {
    name: 'a link at the record',
    prepare: `ln -s ${FUZZ}/file "$at"`,
    restore: '[ ! -L "$at" ] || rm "$at"; rm -rf "$at.broken"',
  },
  {
    name: 'a device at the record',
    prepare: 'mknod "$at" c 1 7',
    restore: '[ ! -c "$at" ] || rm "$at"; rm -rf "$at.broken"',
  },
]

/** Lines of sh that make the folder of records and set `at` to the path of a record. */
export function atRecord(plugin: string, subject: string, ifname: string): string {
  const folder = `${STATE}/${plugin === 'vf-attach' ? 'attach' : 'offload'}`
  return `at="${folder}/${subject} ${CONTAINER}@${ifname}.json"; mkdir -p ${folder}`
}

/** Scripts that replace the record, at `$1`, by something else. */
export const OTHER_KINDS: readonly string[] = [
  ...[
    'rm "$1"; mkfifo "$1"',
    'rm "$1"; mkdir "$1"',
    'rm "$1"; ln -s "$1" "$1"',
    'rm "$1"; ln -s /nope/nope "$1"',
  ],
  ...['rm "$1"; ln -s /dev/zero "$1"', 'rm "$1"; mknod "$1" c 1 7', 'rm "$1"; mknod "$1" c 1 5', ': >"$1"'],
  ...['head -c 1000 /dev/zero >"$1"', 'head -c 3000000 /dev/urandom >"$1"', 'rm "$1"'],
  ...['mv "$1" "$1.tmp"', 'cp "$1" "$1.json"', 'chmod 0 "$1"'],
]
