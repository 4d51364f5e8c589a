import { type RecordStore, recordStore } from '../../ops/record-store.ts'
import { type AttachJournal, attachJournal, wrongField } from './record.ts'

/** The records of `vf-attach`. */
export function records(stateDir: string): RecordStore<AttachJournal> {
  return recordStore(stateDir, 'attach', attachJournal, wrongField)
}
