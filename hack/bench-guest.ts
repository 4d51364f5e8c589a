/**
 * The half of `npm run bench` that runs in the guest: calls every plugin in turn and measures each call in the guest.
 * In: the series as JSON on stdin. Out: the times as JSON.
 */
export {}

interface Series {
  readonly rounds: number
  readonly netns: string
  readonly path: string
  readonly plugins: Readonly<Record<string, Measurable>>
}

interface Measurable {
  readonly file: string
  readonly config: Record<string, unknown>
  /** The name that the program is called by, if that is not its file. */
  readonly argv0?: string
  /** Shell line after each DEL, not timed: removes objects that a plugin's DEL leaves to the end of the pod. */
  readonly clean?: string
}

const series = JSON.parse(await Bun.stdin.text()) as Series
const results: Record<string, { add: number[]; del: number[]; start: number[]; memory: number[] }> = {}
for (const name of Object.keys(series.plugins)) results[name] = { add: [], del: [], start: [], memory: [] }

// The first round fills the page cache and is not counted.
for (let round = -1; round < series.rounds; round++) {
  for (const [name, { file, config, clean, argv0 = file }] of Object.entries(series.plugins)) {
    const stdin = JSON.stringify({ cniVersion: '1.0.0', name: 'bench', ...config })
    const floor = typeof config.floor === 'string' ? config.floor : undefined
    const start = floor === undefined ? call(file, argv0, 'VERSION', '') : timed([file, '-V'])
    const add = floor === undefined ? call(file, argv0, 'ADD', stdin) : timed(moved(file, floor))
    const del = floor === undefined ? call(file, argv0, 'DEL', stdin) : timed(returned(file, floor))
    if (clean !== undefined) timed(['sh', '-c', clean])
    if (round < 0) continue
    results[name]?.start.push(start.ms)
    results[name]?.add.push(add.ms)
    results[name]?.del.push(del.ms)
    results[name]?.memory.push(add.kib)
  }
}
console.log(JSON.stringify(results))

function call(file: string, argv0: string, command: string, stdin: string): { ms: number; kib: number } {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'bench',
    CNI_NETNS: series.netns,
    CNI_IFNAME: 'net1',
    CNI_PATH: series.path,
    // portmap searches it for iptables.
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  }
  return timed([file], env, stdin, argv0)
}

/** The kernel's own share: `ip` moves, renames and sets up the interface in one request. */
function moved(ip: string, netdev: string): string[] {
  return [ip, 'link', 'set', 'dev', netdev, 'netns', 'bench', 'name', 'net1', 'up']
}

function returned(ip: string, netdev: string): string[] {
  return [
    ip,
    '-n',
    'bench',
    'link',
    'set',
    'dev',
    'net1',
    'netns',
    String(process.pid),
    'name',
    netdev,
    'down',
  ]
}

function timed(
  argv: string[],
  env: Record<string, string> = {},
  stdin = '',
  argv0 = argv[0],
): { ms: number; kib: number } {
  const started = performance.now()
  const ended = Bun.spawnSync(argv, {
    ...(argv0 === undefined ? {} : { argv0 }),
    env,
    stdin: new TextEncoder().encode(stdin),
  })
  const ms = performance.now() - started
  if (ended.exitCode !== 0) throw new Error(`${argv.join(' ')}: ${ended.stdout}${ended.stderr}`)
  return { ms, kib: (ended.resourceUsage?.maxRSS ?? 0) / 1024 }
}
