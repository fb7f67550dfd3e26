import { RegcreddError } from '../errors.ts'
import { findJsonFault } from '../json-fault.ts'

/**
 * Reads JSON (RFC 8259) in which no object has a key twice. Throws BODY_MALFORMED, which tells the place and nothing of what stands
 * there: JSON.parse would keep the last of two equal keys, and quote the text, passwords included.
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  const text = decode(bytes)
  const fault = findJsonFault(text)
  if (fault === undefined) return JSON.parse(text)
  throw new RegcreddError('BODY_MALFORMED', `line ${fault.line}, column ${fault.column}: ${fault.message}`)
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new RegcreddError('BODY_MALFORMED', 'it is not UTF-8')
  }
}
