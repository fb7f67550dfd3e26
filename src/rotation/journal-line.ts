import { crc32 } from 'node:zlib'
import { RegcreddError } from '../errors.ts'
import type { RotationState } from './state.ts'

/**
 * One record. `intent`: an act is about to be done; `result`: how it ended; `reached`: a state; `told`: what the keychain's item says where the
 * journal said something else, or how an act ended whose result was lost. Holds no secret and no text of others.
 */
export type JournalRecord = {
  /** Grows by one from record to record, also over a compaction: a record that is missing is noticed. */
  n: number
  /** RFC 3339, UTC. */
  time: string
  what: 'intent' | 'result' | 'reached' | 'told'
  key: string
  rotation: string
  act?: string
  state?: RotationState
  /** Of a result: `ok` or why not, a code or `exit 75`. */
  outcome?: string
}

export type JournalEntry = Omit<JournalRecord, 'n' | 'time'>

const FIELDS = new Set(['n', 'time', 'what', 'key', 'rotation', 'act', 'state', 'outcome'])
const WORD = /^[\x20-\x7e]{1,300}$/
/** A host of 253 characters, a port, and a path of 255. */
const KEY = /^[\x20-\x7e]{1,520}$/
const CRC_DIGITS = 8

/** `CRC-32 of the JSON, a space, the JSON, a line break`. Throws INTERNAL for an entry that is not as it must be: nothing slips in. */
export function toJournalLine(record: JournalRecord): string {
  for (const [name, value] of Object.entries(record)) {
    const isGood = FIELDS.has(name) && isGoodValue(name, value)
    if (!isGood) throw new RegcreddError('INTERNAL', `a journal record with a bad ${FIELDS.has(name) ? name : 'field'}`)
  }
  const text = JSON.stringify(record)
  return `${crcOf(text)} ${text}\n`
}

function isGoodValue(name: string, value: string | number): boolean {
  return name === 'n' ? Number.isSafeInteger(value) : (name === 'key' ? KEY : WORD).test(String(value))
}

/** The record of a line without its break; `undefined` for a line that is not one, whole and unchanged. */
export function fromJournalLine(line: string): JournalRecord | undefined {
  const text = line.slice(CRC_DIGITS + 1)
  if (line[CRC_DIGITS] !== ' ' || line.slice(0, CRC_DIGITS) !== crcOf(text)) return undefined
  try {
    const record: JournalRecord = JSON.parse(text)
    return Number.isSafeInteger(record.n) && typeof record.rotation === 'string' ? record : undefined
  } catch {
    // A text with the right CRC that is no JSON was never written by toJournalLine.
    return undefined
  }
}

function crcOf(text: string): string {
  return crc32(text).toString(16).padStart(CRC_DIGITS, '0')
}

export type ScannedJournal = {
  records: JournalRecord[]
  /** Bytes up to the end of the last good record. */
  goodBytes: number
  /** What stands behind it: a record that was being written when the daemon died, or one that was changed since. */
  tornBytes: number
  /** Bad lines before the last good record, and gaps in the numbers: somebody changed the file. */
  damaged: number
}

/** Reads a whole journal; whatever its bytes are, what is good in it is found. */
export function scanJournal(bytes: Buffer): ScannedJournal {
  const records: JournalRecord[] = []
  let goodBytes = 0
  let bad = 0
  let damaged = 0
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start)
    if (newline === -1) break
    // latin1: a byte for a character, so that a CRC is of the very bytes.
    const line = bytes.toString('latin1', start, newline)
    const record = fromJournalLine(line)
    start = newline + 1
    const last = records.at(-1)
    if (record === undefined || (last !== undefined && record.n <= last.n)) {
      bad += 1
      continue
    }
    const isGap = last !== undefined && record.n !== last.n + 1
    damaged += Math.max(bad, isGap ? 1 : 0)
    bad = 0
    records.push(record)
    goodBytes = start
  }
  return { records, goodBytes, tornBytes: bytes.length - goodBytes, damaged }
}
