/** The logger, which log/log.ts loads for the first line. It is an entry point of its own, so a call without lines pays nothing. */
export { pino } from 'pino'
