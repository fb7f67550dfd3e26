import { fault } from './faults.ts'

/** The account of the index item: no credential's key, as no host begins with `#`. */
export const INDEX_ACCOUNT = '#index'

/** The list of keys, kept as an item of our own because keytar's listing crashes. `undefined`: nothing was ever stored. */
export function parseIndex(text: string | undefined): Set<string> {
  if (text === undefined) return new Set()
  const where = `the item ${INDEX_ACCOUNT} in the keyring`
  const raw = parseJson(text)
  if (typeof raw === 'object' && raw !== null && 'schema' in raw && 'keys' in raw) {
    const { schema, keys } = raw
    if (typeof schema === 'number' && schema > 1) throw fault('newer', { where })
    if (schema === 1 && Array.isArray(keys) && keys.every((key) => typeof key === 'string')) return new Set(keys)
  }
  throw fault('malformed', { where })
}

export function formatIndex(keys: Set<string>): string {
  return JSON.stringify({ schema: 1, keys: [...keys].sort() })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
