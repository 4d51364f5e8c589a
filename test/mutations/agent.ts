import type { Mutation } from './mutation.ts'

/** Mistakes in src/agent. */
export const agent: readonly Mutation[] = [
  {
    id: 'agent-del-waits',
    file: 'src/agent/supervisor/queue.ts',
    mistake: 'A DEL waits behind ADDs that have come before it.',
    old: "findIndex(({ verb }) => verb === 'DEL')",
    now: "findIndex(({ verb }) => verb === 'ADD')",
    test: ['agent/supervisor/decisions.test.ts', 'DELs before others'],
    tier: 'quick',
  },
  {
    id: 'agent-crash-loop',
    file: 'src/agent/supervisor/decisions.ts',
    mistake: 'Calls wait for workers that crash one after the other.',
    old: "if (this.#pauses.until > now) return { reason: 'workers do not start', patience: soon }",
    now: "if (this.#pauses.until < now - 1e9) return { reason: 'workers do not start', patience: soon }",
    test: ['agent/supervisor/decisions.test.ts', 'calls are sent away meanwhile'],
    tier: 'quick',
  },
  {
    id: 'agent-two-connections',
    file: 'src/agent/supervisor/decisions.ts',
    mistake: 'A worker that has a call is handed another one.',
    old: "const free = this.#living().filter(({ state }) => state === 'free')",
    now: "const free = this.#living().filter(({ state }) => state !== 'starting')",
    test: ['agent/supervisor/decisions.property.test.ts', 'each call gets one end'],
    tier: 'quick',
  },
  {
    id: 'agent-taken-over',
    file: 'src/agent/supervisor/listener.ts',
    mistake: 'An agent does not notice that another one has its socket.',
    old: "return found === file ? 'us' : 'other'",
    now: "return found === '' ? 'other' : 'us'",
    test: ['native/agent/life.test.ts', 'a new agent takes over'],
    tier: 'quick',
  },
  {
    id: 'agent-leaves-nothing',
    file: 'src/agent/worker/serve.ts',
    mistake: 'The files that came with a call stay open in the worker, the namespace of the pod among them.',
    old: 'for (const fd of open) close(fd)',
    now: 'for (const fd of [...open].slice(3)) close(fd)',
    test: ['native/agent/serve.test.ts', 'leaves nothing open in its worker'],
    tier: 'quick',
  },
]
