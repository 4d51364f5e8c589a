import type { Mutation } from './mutation.ts'

/** Mistakes in device-plugin/deploy, and in what the manifests count on. */
export const deploy: readonly Mutation[] = [
  {
    id: 'deploy-new-privilege',
    file: 'device-plugin/deploy/base/installer/daemonset.yaml',
    mistake: 'The pods of a node get a privilege that no row of the table justifies.',
    old: '      hostPID: true\n',
    now: '      hostPID: true\n      hostIPC: true\n',
    test: ['device-plugin/deploy/privileges.test.ts', 'each privilege has its row'],
    tier: 'quick',
  },
  {
    id: 'deploy-unknown-field',
    file: 'device-plugin/deploy/overlays/daemonset/agent.yaml',
    mistake: 'A field has a name that Kubernetes does not know, which an API server drops.',
    old: '      terminationGracePeriodSeconds: 330\n',
    now: '      terminationGraceSeconds: 330\n',
    test: ['device-plugin/deploy/manifests.test.ts', 'each object is valid by the schema of its kind'],
    tier: 'quick',
  },
  {
    id: 'deploy-unknown-key',
    file: 'device-plugin/deploy/examples/networks.yaml',
    mistake: 'A network has a key that vf-offload does not know: any port may be mapped.',
    old: '"allowedHostPorts": ["8000-8999"]',
    now: '"allowHostPorts": ["8000-8999"]',
    test: ['device-plugin/deploy/networks.test.ts', 'are read by the plugins without a word'],
    tier: 'quick',
  },
  {
    id: 'deploy-account-of-namespace',
    file: 'device-plugin/deploy/examples/limited.yaml',
    mistake: 'A pod counts on the account that a controller makes after the namespace.',
    old: '  serviceAccountName: examples\n',
    now: '',
    test: ['device-plugin/deploy/manifests.test.ts', 'volumes, labels, images and service accounts'],
    tier: 'quick',
  },
  {
    id: 'deploy-probe-of-image',
    file: 'device-plugin/deploy/overlays/daemonset/agent.yaml',
    mistake:
      'The probe of the agent names a program of the image, which is not there once the agent has entered the node.',
    old: '                - /var/lib/vf-flower/installed/vfctl\n',
    now: '                - /opt/vf-flower/enter\n                - vfctl\n',
    test: ['native/runtime/image.test.ts', 'install on the node, then vfctl and agent'],
    tier: 'quick',
  },
  {
    id: 'config-instance-of-a-pod',
    file: 'device-plugin/config/command-line.ts',
    mistake: 'The uid of a pod is too long for the name of an instance.',
    old: '/^[a-z0-9-]{0,36}$/',
    now: '/^[a-z0-9-]{0,32}$/',
    test: ['device-plugin/deploy/manifests.test.ts', 'knows its flags'],
    tier: 'quick',
  },
]
