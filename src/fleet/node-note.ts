import { ADOPTED_ANNOTATION, MIRRORED_ANNOTATION, NODE_ANNOTATION } from './names.ts'

/** What became of the mirrored Secrets of one credential, as the node tells that wrote them. */
export type Mirrored = { seq: number; total: number; failed: number }

/** What a node says of itself in the annotations of its Lease. */
export type NodeNote = {
  node: string
  /** `seq` of each credential that it is to hold; 0 where it holds none. */
  adopted: Map<string, number>
  mirrored: Map<string, Mirrored>
}

const MAX_CHARS = 65_536
const MAX_NODE_CHARS = 253

export function formatNote({ node, adopted, mirrored }: NodeNote): Record<string, string> {
  return {
    [NODE_ANNOTATION]: node,
    [ADOPTED_ANNOTATION]: JSON.stringify(Object.fromEntries(sorted(adopted))),
    ...(mirrored.size > 0 && { [MIRRORED_ANNOTATION]: JSON.stringify(Object.fromEntries(sorted(mirrored))) }),
  }
}

/** Whoever may write a Lease may have written anything: undefined for what no node of ours writes. */
export function parseNote(annotations: Record<string, string>): NodeNote | undefined {
  const node = annotations[NODE_ANNOTATION]
  if (node === undefined || node === '' || node.length > MAX_NODE_CHARS) return undefined
  const adopted = parseMap(annotations[ADOPTED_ANNOTATION], (value) => (isCount(value) ? value : undefined))
  const mirrored = parseMap(annotations[MIRRORED_ANNOTATION] ?? '{}', mirroredOf)
  return adopted === undefined || mirrored === undefined ? undefined : { node, adopted, mirrored }
}

function parseMap<T>(text: string | undefined, read: (value: unknown) => T | undefined): Map<string, T> | undefined {
  if (text === undefined || text.length > MAX_CHARS) return undefined
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined
    const entries = Object.entries(parsed).map(([key, value]): [string, T | undefined] => [key, read(value)])
    return entries.some(([, value]) => value === undefined) ? undefined : new Map(entries as [string, T][])
  } catch {
    return undefined
  }
}

function mirroredOf(value: unknown): Mirrored | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { seq, total, failed } = value as Record<string, unknown>
  return isCount(seq) && isCount(total) && isCount(failed) ? { seq, total, failed } : undefined
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function sorted<T>(map: Map<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}
