// The kubelet simulator as a program: `driver kubelet OPTIONS` with the options as JSON. Calls of the interface Kubelet come as lines
// (lines.ts). Ends with the end of its input.
import type { Kubelet, KubeletOptions } from './api.ts'
import { answerLines } from './lines.ts'
import { KubeletSimulator } from './simulator.ts'

const kubelet: Kubelet = new KubeletSimulator(JSON.parse(process.argv[2] ?? '{}') as KubeletOptions)
answerLines(kubelet, () => kubelet.stop())
