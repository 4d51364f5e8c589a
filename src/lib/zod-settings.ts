/**
 * Imported for its effect, before any schema is made: zod must not compile schemas to code. A process lives for milliseconds and
 * uses each schema once; compiling the record's schema took a fifth of a DEL.
 */
import { config } from 'zod/mini'

config({ jitless: true })
