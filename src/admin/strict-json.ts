import { RegcreddError } from '../errors.ts'

// Every token that matters once the text is known to be JSON: brackets and strings, a key with its colon.
const TOKENS = /"(?:[^"\\]+|\\.)*"(\s*:)?|[{}[\]]/g

/**
 * Reads JSON (RFC 8259) in which no object has a key twice; JSON.parse would keep the last and say nothing.
 * Throws BODY_MALFORMED without the reason of JSON.parse, which quotes the text, passwords included.
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  const text = decode(bytes)
  const value = parse(text)
  if (hasDuplicateKey(text)) throw new RegcreddError('BODY_MALFORMED', 'a key stands twice in one object')
  return value
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new RegcreddError('BODY_MALFORMED', 'it is not UTF-8')
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new RegcreddError('BODY_MALFORMED', 'it is not JSON')
  }
}

/** `text` is valid JSON. Keys are compared as what they mean: `"a"` and `"\u0061"` are one. */
function hasDuplicateKey(text: string): boolean {
  const open: (Set<string> | undefined)[] = []
  for (const [token, colon] of text.matchAll(TOKENS)) {
    if (token === '{') open.push(new Set())
    else if (token === '[') open.push(undefined)
    else if (token === '}' || token === ']') open.pop()
    else if (colon !== undefined) {
      const key = JSON.parse(token.slice(0, -colon.length))
      const keys = open.at(-1)
      if (keys?.has(key)) return true
      keys?.add(key)
    }
  }
  return false
}
