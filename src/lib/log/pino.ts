/** What log/log.ts loads when there is a line to write: an entry point of its own in the build, so that a call without one pays nothing for it. */
export { pino } from 'pino'
