/**
 * Every key of the config of the device plugin. The one source for its check (read-config.ts), for the tables of
 * docs/device-plugin-config.md (hack/docs.ts) and for docs/schema/vf-device-plugin.json.
 */
import * as z from 'zod/mini'
import { allowedName, allowedPrefix, isPrefix, namePattern, prefixPattern } from '../resource-name.ts'
import { choice, flag, type KeyRows, key, must, objectOf, seconds, textOf } from './key-rows.ts'
import { selectorKeys, selectorSchema } from './selector-keys.ts'

/** Longest hysteresis, and longest wait for a DEL, in seconds. */
const longest = 3600
const longestWait = 86_400

/** Keys of `health`. */
export const healthKeys = {
  carrier: key(flag, {
    isOwn: true,
    without: 'true',
    effect: "the uplink of the device's PF has no carrier",
  }),
  linkState: key(flag, {
    isOwn: true,
    without: 'true',
    effect: "the PF has switched the VF's link off (`ip link set PF vf N state disable`)",
  }),
  driver: key(flag, {
    isOwn: true,
    without: 'true',
    effect: 'the driver is another one than when the device was first offered, or there is none',
  }),
  representor: key(flag, {
    isOwn: true,
    without: 'true',
    effect: 'the eSwitch is in switchdev mode, and the device has no representor',
  }),
  badAfter: key(seconds(longest), {
    isOwn: true,
    without: '5',
    effect: 'so many seconds a delayed reason holds before kubelet hears of it; fractions are allowed',
  }),
  goodAfter: key(seconds(longest), {
    isOwn: true,
    without: '10',
    effect: 'so many seconds a delayed reason is over before kubelet hears of it; fractions are allowed',
  }),
} satisfies KeyRows

const selectorsWords = 'an object or a list of objects; [{}] selects all devices of the type'
const infoWords = 'an object with the keys "*" and PCI addresses, whose values are objects of names and texts'
const prefix = z
  .string(must(allowedPrefix))
  .check(
    z.regex(prefixPattern, { ...must(allowedPrefix), abort: true }),
    z.refine(isPrefix, must(allowedPrefix)),
  )

/** Keys of one entry of `resourceList`. */
export const poolKeys = {
  resourceName: key(textOf(namePattern, allowedName), {
    isRequired: true,
    without: 'refused',
    effect: 'name of the pool; unique below its prefix',
    differs:
      'names that kubelet does not register are refused; hyphens are taken as there, against its README',
  }),
  resourcePrefix: key(
    { schema: prefix, allowed: allowedPrefix },
    {
      without: '`--resource-prefix`',
      effect: 'part of the name before the slash: pods ask for `PREFIX/NAME`',
      differs: 'checked',
    },
  ),
  deviceType: key(choice('netDevice', 'accelerator', 'auxNetDevice'), {
    without: '`netDevice`',
    effect:
      'kind of the devices: PCI functions of class 02, PCI functions of class 12, or subfunctions on the auxiliary bus',
  }),
  excludeTopology: key(flag, { without: 'false', effect: 'no NUMA node is told to kubelet' }),
  selectors: {
    schema: z.array(selectorSchema, must(selectorsWords)),
    allowed: selectorsWords,
    isRequired: true,
    without: 'refused',
    effect:
      'conditions on a device: all that are in one object, of one object at least. The first object that matches says what the container gets',
    differs:
      'a mistake refuses the config; there the pool is left out, and without the key the process crashes. An empty list is a pool without devices',
    members: selectorKeys,
    isOneOrMany: true,
  },
  additionalInfo: key(
    {
      schema: z.record(
        z.string(),
        z.record(z.string(), z.string(must('a text')), must('an object of names and texts')),
        must(infoWords),
      ),
      allowed: infoWords,
    },
    {
      without: 'none',
      effect:
        'names and values for `extra` in the variable `PCIDEVICE_..._INFO`: those of `*`, and over them those of the address; for a subfunction the address of its PCI function',
    },
  ),
  preferredAllocation: key(choice('packed', 'spread', 'numa', 'pcie'), {
    isOwn: true,
    without: '`packed`',
    effect:
      'choice among devices that are equally good for kubelet: `packed` fills a PF before the next, `spread` takes as many PFs as it can, `numa` as few NUMA nodes, `pcie` stays near the devices that the container has',
  }),
  allowHostUsed: key(flag, {
    isOwn: true,
    without: 'false',
    effect: 'offers also devices that the host uses, such as that of its default route',
  }),
  health: {
    schema: objectOf(healthKeys, 'an object'),
    allowed: 'an object',
    isOwn: true,
    without: 'all checks',
    effect: 'checks that make a device unhealthy, each true or false, and their delay',
    members: healthKeys,
  },
  reset: key(choice('none', 'flr'), {
    isOwn: true,
    without: '`none`',
    effect: 'work before a device that another pod had is given away; `flr` is a function level reset',
  }),
  restoreAfter: key(seconds(longestWait), {
    isOwn: true,
    without: '0',
    effect:
      'so many seconds after the death of a pod without a DEL its device is restored as DEL of `vf-attach` does it; 0 is never',
  }),
} satisfies KeyRows

/** One entry of `resourceList` whose keys are in official spelling. */
export const poolSchema = objectOf(poolKeys, 'an object')
/** The values of a pool, defaults not filled in. */
export type PoolValues = z.infer<typeof poolSchema>

/** Keys of the file. */
export const fileKeys = {
  resourceList: {
    schema: z.array(poolSchema, must('a list of objects')),
    allowed: 'a list of objects, or null',
    without: 'no pools',
    effect: 'the pools in order: the first that selects a device has it',
    differs: 'without pools the process waits for a file with some; there it ends with exit code 0',
    members: poolKeys,
  },
} satisfies KeyRows
