/**
 * The shape of what a command prints: ids, times, digests and numbers stand for any of their kind. JSON counts by its content, not
 * by its layout or the order of its keys; several values of JSON stand one on each line.
 */
export function shapeOf(printed: string): string {
  return generalised(canonicalJson(printed.trim()) ?? printed.trim())
}

function generalised(text: string): string {
  return text
    .replace(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'ID')
    .replace(/\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z/g, 'TIME')
    .replace(/\bsha256:[0-9a-f]{64}\b/g, 'DIGEST')
    .replace(/\d+/g, 'N')
}

function canonicalJson(text: string): string | undefined {
  for (const parts of [[text], text.split('\n')]) {
    try {
      return parts.map((part) => JSON.stringify(sorted(JSON.parse(part)))).join('\n')
    } catch {
      // Not JSON in this way.
    }
  }
  return undefined
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  )
}
