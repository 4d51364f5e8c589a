// Counters of PFs and VFs as the metrics of the device plugin have them, on whatever kernel the driver is started.
import { type LinkReadings, readLinks } from '../../../device-plugin/observe/links.ts'
import { openTraffic } from '../../../src/kernel/linux-traffic.ts'
import { takeInventory } from './inventory.ts'

/** The counters of one look at all PFs and VFs of the node. */
export function trafficOf(): LinkReadings {
  const facts = openTraffic()
  try {
    return readLinks(facts, takeInventory())
  } finally {
    facts.close()
  }
}
