// The operator's policy file bounds the paths and ports that a network config may name: with the file, without it, and
// against attempts to get around it. The node's folders show that nothing was written where it must not be.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { errorOf } from '../../../hack/lab/bed/plugins.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'

const POLICY = '/etc/vf-flower/policy.json'
const pod = 'pod-one'

let bed: NativeBed
beforeAll(async () => {
  bed = await makeNativeBed(1, [pod])
  await bed.remember()
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  await bed.lab.must(
    'rm -rf /etc/vf-flower/* /etc/told /var/log/told* /run/told /run/vf-flower/no-policy /var/lib/cni/out',
  )
  if (task.result?.state === 'fail') await bed.rebuild()
})

const on = (more: Record<string, unknown> = {}) => onNic(bed.nic(), more)
const policy = (content: unknown) =>
  bed.lab.writeFile(POLICY, typeof content === 'string' ? content : JSON.stringify(content), 0o644)
const isThere = async (path: string) => (await bed.lab.exec(['test', '-e', path])).code === 0
/** A call that must end by itself, soon. */
const soon = { timeoutMs: 20_000 }

describe('stateDir', () => {
  test.each([
    ['elsewhere', '/etc/told', 'must be below /var/lib/cni or /run'],
    ['behind a link', '/var/lib/cni/out/told', 'it leads to "/etc/told"; must be below'],
    [
      'through a folder that all may write into',
      '/run/told/state',
      'others may write into the folder "/run/told"',
    ],
  ])(
    'that is %s makes ADD, CHECK and STATUS code 7, and DEL and GC touch nothing there',
    async (_, stateDir, words) => {
      await bed.lab.must('ln -s /etc /var/lib/cni/out; mkdir -m 1777 /run/told')
      const config = on({ stateDir })
      for (const verb of ['ADD', 'CHECK', 'STATUS']) {
        const error = errorOf(await bed.call(verb, config, pod, { cniVersion: '1.1.0' }))
        expect(error.msg).toContain(`Cannot use stateDir "${stateDir}": ${words}`)
        expect(error.code).toBe(7)
      }
      for (const verb of ['DEL', 'GC']) {
        const result = await bed.call(verb, config, pod, { cniVersion: '1.1.0' })
        expect(result).toMatchObject({ code: 0, stdout: '' })
        expect(result.stderr).toContain(`${words}`)
        expect(result.stderr).toContain(`${verb} goes on with the default folder`)
      }
      expect(await isThere(stateDir)).toBe(false)
      await bed.lab.must('rm /var/lib/cni/out; rmdir /run/told')
      await bed.expectUnchanged()
    },
  )

  test('out of bounds keeps no DEL from what the default folder knows', async () => {
    await bed.add(on(), pod)
    await bed.del(on({ stateDir: '/etc/told' }), pod)
    await bed.expectUnchanged()
  })

  test('in bounds is used, and a node without a policy is told once in a boot', async () => {
    const config = on({ stateDir: '/run/told' })
    const said: string[] = []
    for (const _ of ['first', 'second']) {
      const result = await bed.call('ADD', config, pod)
      expect(result).toMatchObject({ code: 0 })
      said.push(result.stderr)
      expect(await isThere('/run/told/attach')).toBe(true)
      await bed.del(config, pod)
    }
    const words = 'network configs may set logFile below /var/log and stateDir below /var/lib/cni or /run'
    expect(said).toEqual([expect.stringContaining(`vf-attach: there is no ${POLICY}: ${words}`), ''])
    await bed.lab.must('rm /run/vf-flower/no-policy')
    await policy({})
    expect(await bed.call('ADD', config, pod)).toMatchObject({ code: 0, stderr: '' })
    await bed.del(config, pod)
    expect(await isThere('/run/vf-flower/no-policy')).toBe(false)
  })

  test('is bounded by what the policy says, wider or narrower', async () => {
    await policy({ stateDirs: ['/etc/told'] })
    await bed.add(on({ stateDir: '/etc/told/a' }), pod)
    expect(await isThere('/etc/told/a/attach')).toBe(true)
    await bed.del(on({ stateDir: '/etc/told/a' }), pod)
    const { code, msg } = await bed.refused('ADD', on({ stateDir: '/run/told' }), pod)
    expect(msg).toBe(`Cannot use stateDir "/run/told": must be below /etc/told, says ${POLICY}`)
    expect(code).toBe(7)
    await bed.expectUnchanged()
  })
})

describe('logFile', () => {
  const logged = (logFile: string) => on({ logFile, logLevel: 'info' })

  test('below /var/log is written', async () => {
    await bed.add(logged('/var/log/told'), pod)
    await bed.del(logged('/var/log/told'), pod)
    expect((await bed.lab.readFile('/var/log/told')).trim().split('\n').slice(-1)).toEqual([
      expect.stringContaining('"msg":"DEL succeeded"'),
    ])
    expect(await bed.lab.must('stat -c %a /var/log/told')).toBe('600\n')
  })

  test.each([
    ['elsewhere', '/etc/told', 'must be below /var/log'],
    ['in a folder where a new file says something', '/run/nologin', 'must be below /var/log'],
    ['behind a link', '/var/log/told/x', 'it leads to "/etc/x"; must be below /var/log'],
    ['our stdout', '/dev/stdout', 'must be below /var/log'],
  ])(
    'that is %s makes a warning with key, value and what is allowed, and no file',
    async (_, logFile, words) => {
      await bed.lab.must('ln -s /etc /var/log/told')
      const result = await bed.call('ADD', logged(logFile), pod)
      expect(result).toMatchObject({ code: 0 })
      expect(result.stderr).toContain(`Cannot use logFile \\"${logFile}\\": ${words.replaceAll('"', '\\"')}`)
      expect(() => JSON.parse(result.stdout)).not.toThrow()
      await bed.del(on(), pod)
      for (const path of ['/etc/told', '/run/nologin', '/etc/x']) expect(await isThere(path)).toBe(false)
    },
  )

  test('that is somebody else’s file is left as it is', async () => {
    await bed.lab.writeFile('/var/log/told', 'Nov 28 login root\n', 0o600)
    const result = await bed.call('ADD', logged('/var/log/told'), pod)
    expect(result).toMatchObject({ code: 0 })
    expect(result.stderr).toContain('it is there already and is no log of vf-flower')
    await bed.del(on(), pod)
    expect(await bed.lab.readFile('/var/log/told')).toBe('Nov 28 login root\n')
  })
})

describe('a FIFO hangs nobody', () => {
  test('as log.json is passed by', async () => {
    await bed.lab.must('mkfifo /etc/vf-flower/log.json')
    const result = await bed.call('ADD', on(), pod, soon)
    expect(result).toMatchObject({ code: 0 })
    expect(result.stderr).toContain(
      'Cannot use /etc/vf-flower/log.json: it is a FIFO; must be a regular file',
    )
    await bed.del(on(), pod, soon)
    await bed.expectUnchanged()
  })

  test('as policy.json is passed by', async () => {
    await bed.lab.must(`mkfifo ${POLICY}`)
    const { code, msg } = await bed.refused('ADD', on(), pod, soon)
    expect(msg).toBe(`Cannot use ${POLICY}: it is a FIFO; must be a regular file`)
    expect(code).toBe(7)
    await bed.del(on(), pod, soon)
    await bed.expectUnchanged()
  })

  test.each(['config', 'environment'])('as log file, which somebody reads (%s)', async (by) => {
    await bed.lab.must('mkfifo /var/log/told')
    const reader = await bed.lab.spawn(['sh', '-c', 'exec 3<>/var/log/told; exec sleep infinity'], {
      timeoutMs: 0,
    })
    await bed.lab.must(`until ls -l /proc/${reader.pid}/fd | grep -q /var/log/told; do sleep 0.05; done`)
    const env = by === 'environment' ? { VF_FLOWER_LOG_FILE: '/var/log/told' } : {}
    const config = by === 'config' ? on({ logFile: '/var/log/told', logLevel: 'info' }) : on()
    const result = await bed.call('ADD', config, pod, {
      ...soon,
      env: { VF_FLOWER_LOG_LEVEL: 'info', ...env },
    })
    expect(result).toMatchObject({ code: 0 })
    expect(result.stderr).toContain('it is a FIFO; must be a regular file; logging to stderr')
    await bed.del(on(), pod, soon)
    reader.kill('SIGKILL')
    await reader.wait()
  })
})

test('our stdout is no log file, whoever names it', async () => {
  const [file, result] = ['/run/told-result', '/run/told-stderr']
  const script = `echo '{"cniVersion":"1.0.0","name":"n","type":"vf-offload","prevResult":{"cniVersion":"1.0.0"}}' |
    CNI_COMMAND=ADD CNI_CONTAINERID=c CNI_IFNAME=net1 CNI_NETNS=/run/netns/${pod} VF_FLOWER_LOG_LEVEL=info \
    VF_FLOWER_LOG_FILE=/dev/stdout dist/test/vf-offload >${file} 2>${result}; cat ${file}; cat ${result} >&2; rm ${file} ${result}`
  const { stdout, stderr } = await bed.lab.exec(['sh', '-c', script])
  expect(stdout).toBe('{"cniVersion":"1.0.0"}\n')
  expect(stderr).toContain('it is our stdout, which belongs to the result')
})

describe('a policy that can not be used', () => {
  test.each([
    ['broken', '{"logFiles":', 0o644, 'line 1, column 13'],
    ['with a key that nobody knows', '{"stateDir":["/run"]}', 0o644, 'unknown key "stateDir"'],
    ['that others may write', '{}', 0o666, 'others may write it (mode 0666)'],
    ['that is a folder', undefined, 0, 'it is a folder; must be a regular file'],
    ['behind a link to nothing', null, 0, 'ENOENT'],
  ])('%s makes ADD code 7, and DEL goes on and says so', async (_, content, mode, words) => {
    await bed.add(on(), pod)
    if (content === undefined) await bed.lab.must(`mkdir -p ${POLICY}`)
    else if (content === null) await bed.lab.must(`ln -s /nowhere ${POLICY}`)
    else {
      await bed.lab.writeFile(POLICY, content)
      await bed.lab.must(`chmod ${mode.toString(8)} ${POLICY}`)
    }
    for (const verb of ['ADD', 'CHECK', 'STATUS']) {
      const error = errorOf(await bed.call(verb, on(), pod, { cniVersion: '1.1.0' }))
      expect(error.msg).toContain(`Cannot use ${POLICY}: `)
      expect(error.msg).toContain(words)
      expect(error.code).toBe(7)
    }
    const del = await bed.call('DEL', on(), pod)
    expect(del).toMatchObject({ code: 0, stdout: '' })
    expect(del.stderr).toContain(words)
    expect(del.stderr).toContain('DEL goes on with the policy that counts without that file')
    await bed.lab.must(`rm -r ${POLICY}`)
    await bed.expectUnchanged()
  })

  test('of another user does the same', async () => {
    await policy({})
    await bed.lab.must(`chown nobody ${POLICY}`)
    const { code, msg } = await bed.refused('ADD', on(), pod)
    expect(msg).toContain('must belong to root')
    expect(code).toBe(7)
  })
})

test('allowedHostPorts of the policy bind configs that have none, or wider ones', async () => {
  await policy({ allowedHostPorts: ['8000-8099'] })
  const ports = (hostPort: number, more: Record<string, unknown> = {}) =>
    bed.call('ADD', { type: 'vf-offload', capabilities: { portMappings: true }, ...more }, pod, {
      config: { prevResult: { cniVersion: '1.0.0', interfaces: [], ips: [] } },
      capabilityArgs: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] },
    })
  for (const more of [{}, { allowedHostPorts: ['1-65535'] }]) {
    const { code, msg } = errorOf(await ports(8100, more))
    expect(msg).toContain(`hostPort 8100: must be one of allowedHostPorts of ${POLICY}: 8000-8099`)
    expect(code).toBe(7)
  }
  expect(errorOf(await ports(8001, { allowedHostPorts: [8000] })).msg).toContain(
    'hostPort 8001: must be one of allowedHostPorts: 8000',
  )
  // One that both allow is refused for the prevResult, which names no address of the pod.
  expect(errorOf(await ports(8000, { allowedHostPorts: [8000] })).msg).not.toContain('allowedHostPorts')
})
