// Machines of their own: what the shared one can't show without ending.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, expect, test } from 'vitest'
import { apply, ask, drive } from '../../../hack/lab/driver/client.ts'
import { bootLab, type Lab } from '../../../hack/lab/lab.ts'
import { executable } from '../../support/executable.ts'

const CLI = ['hack/bun.sh', 'hack/lab/cli.ts']
let machine: Lab | undefined
let visitor: Lab | undefined
const folders: string[] = []

afterEach(async () => {
  await visitor?.close()
  await machine?.close()
  visitor = machine = undefined
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

test('a processor without AVX2 runs the agent, the released executable and the driver; a guest that says nothing counts as hung; a crash ends all calls with the console shown', async () => {
  machine = await bootLab({ cpu: 'Nehalem', memory: 1024, wires: 0, processors: 1 })
  expect(await machine.must("grep -c '^flags.*avx' /proc/cpuinfo || true")).toBe('0\n')
  const run = async (command: string, stdin = '') =>
    (machine as Lab).exec([executable('vf-attach')], { env: { CNI_COMMAND: command }, cleanEnv: true, stdin })
  const version = await run('VERSION')
  expect(version).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(version.stdout)).toMatchObject({ cniVersion: '1.1.0' })
  // STATUS opens a netlink socket by way of libc: more than the program's start.
  const status = await run('STATUS', '{"cniVersion":"1.1.0","name":"n","type":"vf-attach"}')
  expect(status).toMatchObject({ code: 0, stdout: '' })
  const [, addresses] = await drive(machine, [
    apply({ do: 'addr.add', side: 'host', link: 'lo', address: '10.9.0.1/32' }),
    ask('addresses', 'host', 1),
  ])
  expect(addresses.map(({ address }) => address)).toEqual(['127.0.0.1/8', '10.9.0.1/32', '::1/128'])

  // A client that is attached by a socket of its own gives up sooner than the owner.
  visitor = await bootLab({ attach: machine.socket, hangMs: 6_000 })
  await visitor.must("echo '<1>this is the console' >/dev/kmsg")
  const qemu = qemuOf(process.pid)
  const hanging = visitor.sh('echo begun; sleep 1000', { onStdout: () => process.kill(qemu, 'SIGSTOP') })
  await expect(hanging).rejects.toThrow(/the guest has hung: silent for 6000 ms.*this is the console/s)
  process.kill(qemu, 'SIGCONT')

  const waiting = machine.exec(['sleep', '1000'], { timeoutMs: 0 })
  const crash = machine.sh('echo c >/proc/sysrq-trigger')
  await Promise.all([
    expect(waiting).rejects.toThrow(/Cannot run 'sleep 1000'.*ended with.*sysrq: Trigger a crash/s),
    expect(crash).rejects.toThrow(/Kernel panic/),
  ])
  await expect(machine.sh('true')).rejects.toThrow(/the virtual machine ended/)
}, 240_000)

test('npm run lab boots again when QEMU broke the boot; passes arguments, standard input, both outputs and the exit code', async () => {
  const script = 'cat; echo "$1" >&2; ls /sys/class/iommu; exit 9'
  const argv = [...CLI, '--iommu', '--wires', '0', '--', 'sh', '-c', script, 'sh', 'two words']
  const path = `${brokenOnce()}:${process.env.PATH}`
  const { exitCode, stdout, stderr } = await execa('sh', argv, {
    ...{ input: 'from outside\n', reject: false, env: { PATH: path } },
  })
  expect({ exitCode, stdout, stderr }).toEqual({
    exitCode: 9,
    stdout: 'from outside\ndmar0',
    stderr: 'lab: QEMU broke the boot of the guest (Oops: int3); boot 2 of 3\ntwo words',
  })
  const wrong = await execa('sh', [...CLI, '--no-such-option'], { reject: false })
  expect(wrong).toMatchObject({ exitCode: 1, stdout: '' })
  expect(wrong.stderr).toMatch(/^Cannot use '--no-such-option'\nusage: npm run lab/)
})

test('the machine ends with the process that booted it, even when that one is killed', async () => {
  // While it boots is as good as later, and sooner.
  const owner = spawn('sh', [...CLI, '--wires', '0', '--', 'sleep 1000'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await expect.poll(() => childrenOf(owner.pid).some(isQemu), { timeout: 60_000 }).toBe(true)
  const qemu = qemuOf(owner.pid ?? 0)
  owner.kill('SIGKILL')
  await expect.poll(() => existsSync(`/proc/${qemu}`), { timeout: 10_000 }).toBe(false)
})

/** A folder with a QEMU whose first machine dies as a broken boot does; each later machine is of the real QEMU. */
function brokenOnce(): string {
  const folder = mkdtempSync(join(tmpdir(), 'vf-qemu-'))
  folders.push(folder)
  const script = `#!/bin/sh
if mkdir ${folder}/broken 2>/dev/null; then
  for word; do case $word in file:*) echo 'Oops: int3: 0000 [#1] PREEMPT SMP NOPTI' >"\${word#file:}" ;; esac; done
  exit 0
fi
PATH=\${PATH#*:} exec qemu-system-x86_64 "$@"
`
  writeFileSync(join(folder, 'qemu-system-x86_64'), script, { mode: 0o755 })
  return folder
}

function childrenOf(pid = 0): number[] {
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return list === '' ? [] : list.split(' ').map(Number)
}

function isQemu(pid: number): boolean {
  // Another child may just have ended.
  return existsSync(`/proc/${pid}/comm`) && readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('qemu')
}

function qemuOf(pid: number): number {
  const children = childrenOf(pid)
  const found = children.find(isQemu)
  if (found === undefined)
    throw new Error(`Cannot find QEMU among the children of ${pid}: ${children.join()}`)
  return found
}
