import { z } from 'zod'
import { joinPath, type Problem } from './problem.ts'
import { configFile } from './schema.ts'

/** The parts of a JSON schema that we read. */
export type SchemaNode = {
  type?: string
  description?: string
  default?: unknown
  const?: unknown
  enum?: unknown[]
  minimum?: number
  maximum?: number
  properties?: Record<string, SchemaNode>
  required?: string[]
  items?: SchemaNode
  oneOf?: SchemaNode[]
}

type Issue = z.core.$ZodIssue

const MAX_GUESSED_LENGTH = 40

/** The JSON schema of the file as people write it, in which keys with defaults may be missing. */
export function configJsonSchema(): SchemaNode {
  return z.toJSONSchema(configFile, { io: 'input' }) as SchemaNode
}

/** Everything that the schema has against `parsed`: unknown keys, missing keys, wrong types and ranges. */
export function formProblems(parsed: unknown): Problem[] {
  const result = configFile.safeParse(parsed)
  if (result.success) return []
  const schema = configJsonSchema()
  return result.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? unknownKeys(issue, parsed, schema) : [formProblem(issue, parsed)],
  )
}

function unknownKeys(issue: Issue & { keys: string[] }, parsed: unknown, schema: SchemaNode): Problem[] {
  const known = knownKeys(nodeAt(schema, issue.path, parsed))
  return issue.keys.map((key) => ({
    path: joinPath([...issue.path, key]),
    message: 'is no key that regcredd knows',
    hint: whereFor(key, known, schema),
  }))
}

function formProblem(issue: Issue, parsed: unknown): Problem {
  return { path: joinPath(issue.path), message: expectation(issue, valueAt(parsed, issue.path)), hint: undefined }
}

function expectation(issue: Issue, value: unknown): string {
  if (value === undefined && issue.code !== 'unrecognized_keys') return 'is missing'
  if (issue.code === 'invalid_type') return `must be ${article(issue.expected)}, not ${kindOf(value)}`
  if (issue.code === 'invalid_value') return `must be ${alternatives(issue.values)}`
  if (issue.code === 'too_small') {
    if (issue.origin === 'array' || issue.origin === 'string') return 'must not be empty'
    return `must be at least ${issue.minimum}`
  }
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}`
  return issue.message
}

function article(expected: string): string {
  if (expected === 'int') return 'a whole number'
  return /^[aeiou]/.test(expected) ? `an ${expected}` : `a ${expected}`
}

function alternatives(values: readonly unknown[]): string {
  return values.map((value) => JSON.stringify(value)).join(' or ')
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'number' && !Number.isInteger(value) ? 'a fraction' : article(typeof value)
}

function valueAt(parsed: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => {
    const isInside = typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    return isInside ? (value as Record<PropertyKey, unknown>)[key] : undefined
  }, parsed)
}

/** The schema of what stands at `path`; of a choice, the one that `parsed` has chosen. */
function nodeAt(schema: SchemaNode, path: readonly PropertyKey[], parsed: unknown): SchemaNode | undefined {
  return path.reduce<SchemaNode | undefined>((node, key, index) => {
    const next = typeof key === 'number' ? node?.items : node?.properties?.[String(key)]
    const store = valueAt(parsed, [...path.slice(0, index + 1), 'store'])
    return next?.oneOf?.find((choice) => choice.properties?.['store']?.const === store) ?? next
  }, schema)
}

function knownKeys(node: SchemaNode | undefined): string[] {
  return Object.keys(node?.properties ?? {})
}

function whereFor(key: string, known: string[], schema: SchemaNode): string | undefined {
  const elsewhere = placesOf(key, schema, '')
  if (elsewhere.length > 0) return `it belongs in ${elsewhere.join(' or ')}`
  if (key.length > MAX_GUESSED_LENGTH) return undefined
  const [best] = known
    .map((candidate) => ({ candidate, distance: editDistance(plain(key), plain(candidate)) }))
    .sort((a, b) => a.distance - b.distance)
  const isClose = best !== undefined && best.distance <= Math.max(2, best.candidate.length / 3)
  return isClose && best.distance < best.candidate.length - 1 ? `did you mean "${best.candidate}"?` : undefined
}

function placesOf(key: string, node: SchemaNode, path: string): string[] {
  const here = Object.hasOwn(node.properties ?? {}, key) ? [path === '' ? 'the file itself' : path] : []
  const inside = Object.entries(node.properties ?? {}).flatMap(([name, child]) =>
    placesOf(key, child, path === '' ? name : `${path}.${name}`),
  )
  const items = node.items === undefined ? [] : placesOf(key, node.items, `${path}[]`)
  const choices = (node.oneOf ?? []).flatMap((choice) =>
    placesOf(key, choice, `${path} with store "${choice.properties?.['store']?.const}"`),
  )
  return [...here, ...inside, ...items, ...choices]
}

function plain(key: string): string {
  return key.toLowerCase().replace(/[_-]/g, '')
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
