// `driver watch`: watches the node and prints a line of JSON for each call of onChange, after a first line "{}" once the sockets are
// open. Commands are lines of standard input: `stats` prints counters, memory and processor time, `busy MS` makes each later call take
// that long without looking at the sockets, `touch` asks for a scan. Ends with its input.
// `driver watch raw PROTOCOL GROUP...`: prints a line of JSON for each chunk of notifications instead: its length and its text.
import { processClock } from '../../../device-plugin/inventory/watch/clock.ts'
import { watchNode } from '../../../device-plugin/inventory/watch/watch.ts'
import { openNetlink } from '../../../src/sys/netlink.ts'
import { openNotifications } from '../../../src/sys/notifications.ts'

const say = (line: unknown) => process.stdout.write(`${JSON.stringify(line)}\n`)
const [mode, ...numbers] = process.argv.slice(2)
if (mode === 'raw') {
  const [protocol = 0, ...groups] = numbers.map(Number)
  const open = openNotifications(protocol, groups, {
    take: (bytes) => say({ length: bytes.length, text: Buffer.from(bytes).toString('latin1') }),
    lost: (error) => say({ lost: String(error) }),
  })
  say({})
  await Bun.stdin.text()
  open.close()
} else {
  let busy = 0
  const watch = watchNode({
    port: { subscribe: openNotifications, connect: openNetlink },
    clock: processClock,
    onChange: (changes) => {
      const until = performance.now() + busy
      while (performance.now() < until);
      say({ changes })
    },
    onFailure: (error) => say({ failure: String(error) }),
    onLost: (error) => say({ lost: String(error) }),
  })
  say({})
  for await (const line of console) {
    const [command, value] = line.split(' ')
    if (command === 'busy') busy = Number(value)
    if (command === 'touch') watch.touch('test')
    if (command === 'stats')
      say({ stats: watch.stats(), rss: process.memoryUsage.rss(), cpu: processClock.cpu() })
  }
  watch.close()
}
