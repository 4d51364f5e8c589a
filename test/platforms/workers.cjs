// Loaded into vitest: its workers, which run the tests, are started by the Node that VF_WORKER_NODE names. Vitest itself, with the
// compilers that it needs, stays a program of this machine.
process.execPath = process.env.VF_WORKER_NODE ?? process.execPath
