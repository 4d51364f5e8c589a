/**
 * Imported for its effect, before any schema is made: zod shall not compile schemas to code. Each is used once in a
 * process that lives for milliseconds; compiling the record's took a fifth of a DEL.
 */
import { config } from 'zod/mini'

config({ jitless: true })
