// The unit for systemd, line by line: each setting is there for a reason, and others are not there for a reason.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { times } from '../../src/agent/supervisor/events.ts'

const text = readFileSync(new URL('../../src/agent/vf-agent.service', import.meta.url), 'utf8')
const lines = text.split('\n').filter((line) => line !== '' && !/^[#[]/.test(line))
const settings = new Map(
  lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
)

/** Each setting, its value, and the reason for it. */
const wanted: readonly (readonly [setting: string, value: RegExp, reason: string])[] = [
  ['Description', /./, 'systemctl shows it'],
  ['Before', /containerd\.service/, 'the first pods after a boot find the agent'],
  ['StartLimitIntervalSec', /^0$/, 'an agent that fails often is tried again for ever'],
  ['Type', /^notify$/, 'started means that the socket listens'],
  ['NotifyAccess', /^main$/, 'children, which are programs of others, tell systemd nothing'],
  ['ExecStart', /^\/\S+\/vf-agent$/, 'the name selects the program'],
  ['TimeoutStartSec', /^\d+$/, 'a boot waits for the agent, because of Before=, and for no longer'],
  ['ExecReload', /HUP \$MAINPID$/, 'settings are read again by SIGHUP'],
  ['WatchdogSec', /^\d+$/, 'a supervisor that stands still slows each call'],
  ['Restart', /^on-failure$/, 'an agent that was replaced ends with success and stays away'],
  ['RestartSec', /^1$/, 'calls run by themselves meanwhile, so there is no hurry'],
  ['KillMode', /^mixed$/, 'SIGTERM for the supervisor alone: workers finish their calls'],
  ['TimeoutStopSec', /^\d+$/, 'see below'],
  ['TimeoutAbortSec', /^\d+$/, 'a supervisor that the watchdog ends hands no call over any more'],
  ['OOMScoreAdjust', /^-999$/, 'as the container runtime'],
  ['LimitNOFILE', /^1048576$/, 'as the container runtime; IPAM plugins inherit it'],
  ['TasksMax', /^infinity$/, 'IPAM plugins are in this group'],
  ['UMask', /^0022$/, 'modes of files of IPAM plugins'],
  ['MemoryHigh', /^\d+[MG]$/, 'reclaims, and kills nobody'],
  ['WantedBy', /^multi-user\.target$/, 'started at boot'],
]

/** Settings that must not be there, and the reason. */
const unwanted: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^MemoryMax|^CPUQuota/, 'would kill calls, or make each one wait'],
  [
    /^(Private|Protect|Restrict)|^(SystemCall|CapabilityBoundingSet|AmbientCapabilities|NoNewPrivileges)/,
    'plugins change namespaces, devices, sysctls and nftables; IPAM plugins are programs of others',
  ],
  [/^(User|Group|DynamicUser)$/, 'only root can serve'],
  [
    /^(RootDirectory|RootImage|BindPaths|ReadOnlyPaths|InaccessiblePaths|TemporaryFileSystem|StateDirectory|RuntimeDirectory)/,
    'the agent sees the files that the shim sees; its folder outlives it',
  ],
  [
    /^(Sockets|Accept|ListenSequentialPacket)/,
    'with socket activation a connection would succeed while nobody answers',
  ],
  [/^(Requires|BindsTo|PartOf)$/, 'nothing depends on the agent, and the agent on nothing'],
  [/^(Nice|IOSchedulingClass|LimitAS|LimitDATA|LimitSTACK)/, 'IPAM plugins would inherit it'],
  [/^Environment/, 'the program takes nothing from its environment but what systemd sets'],
]

test.each(wanted)('%s is there: %s (%s)', (setting, value) => {
  expect(settings.get(setting)).toMatch(value)
})

test('no other setting is there', () => {
  expect([...settings.keys()].sort()).toEqual(wanted.map(([setting]) => setting).sort())
})

test.each(unwanted)('%s is not there: %s', (pattern) => {
  expect([...settings.keys()].filter((setting) => pattern.test(setting))).toEqual([])
})

test('the time to stop is longer than a call may take without progress', () => {
  expect(Number(settings.get('TimeoutStopSec')) * 1_000).toBeGreaterThan(times.stuck + times.killed)
})

test('each setting of the service has a comment above it, or stands under one', () => {
  const service = text.slice(text.indexOf('[Service]'), text.indexOf('[Install]'))
  for (const block of service.split('\n\n').slice(0, -1)) expect(block).toMatch(/^#|\n#/)
})
