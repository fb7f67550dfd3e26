import { RegcreddError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { type Credential, RECORD_STATES, type RotationRecord, type RotationWay, type Version } from './credential.ts'
import { fault } from './faults.ts'

const SCHEMA = 1
const VERSION_ID = /^v[1-9][0-9]{0,15}$/
const WAYS: readonly RotationWay[] = ['provided', 'generated', 'rollback']

/**
 * The text under which a credential is kept in every store. It holds the passwords, so it travels as a `Secret`.
 * Throws INTERNAL for a credential that could not be read back under this key, so that a store never takes one.
 */
export function formatItem(key: string, credential: Credential): Secret {
  const versions = credential.versions.map((version) => ({ ...version, secret: version.secret.reveal() }))
  const text = new Secret(JSON.stringify({ ...credential, versions }))
  try {
    parseItem(key, text)
  } catch (cause) {
    throw new RegcreddError('INTERNAL', `the credential to store for ${key} is not well-formed`, { cause })
  }
  return text
}

/**
 * Reads what `formatItem` wrote for `key`. Throws KEYCHAIN_CORRUPT for anything else, a newer schema included; the error names
 * the key and the place, never what stands there.
 */
export function parseItem(key: string, text: Secret): Credential {
  const where = `the item of ${key}`
  const raw = parseJson(text, where)
  if (isObject(raw) && typeof raw['schema'] === 'number' && raw['schema'] > SCHEMA) {
    throw fault('newer', { where })
  }
  const item = fields(raw, where, {
    required: ['schema', 'key', 'seq', 'versions', 'rotations'],
    optional: ['current', 'pending', 'previous'],
  })
  if (item['schema'] !== SCHEMA) throw malformed(`${where}, schema`)
  if (item['key'] !== key) throw malformed(`${where}, key`)
  const versions = list(item['versions'], `${where}, versions`).map(parseVersion)
  const ids = new Set(versions.map((version) => version.id))
  if (ids.size !== versions.length) throw malformed(`${where}, versions`)
  const label = (name: 'current' | 'pending' | 'previous') => {
    const id = optionalText(item[name], `${where}, ${name}`)
    if (id !== undefined && !ids.has(id)) throw malformed(`${where}, ${name}`)
    return id
  }
  return {
    schema: SCHEMA,
    key,
    seq: counter(item['seq'], `${where}, seq`),
    current: label('current'),
    pending: label('pending'),
    previous: label('previous'),
    versions,
    rotations: list(item['rotations'], `${where}, rotations`).map(parseRotation),
  }
}

function parseVersion({ value, where }: Entry): Version {
  const raw = fields(value, where, {
    required: ['id', 'username', 'secret', 'createdAt'],
    optional: ['email', 'expiresAt', 'madeBy'],
  })
  return {
    id: versionId(raw['id'], `${where}.id`),
    username: text(raw['username'], `${where}.username`),
    secret: new Secret(text(raw['secret'], `${where}.secret`)),
    email: optionalText(raw['email'], `${where}.email`),
    createdAt: time(raw['createdAt'], `${where}.createdAt`),
    ...present('expiresAt', raw['expiresAt'], where, time),
    ...present('madeBy', raw['madeBy'], where, text),
  }
}

function parseRotation({ value, where }: Entry): RotationRecord {
  const raw = fields(value, where, {
    required: ['id', 'state', 'version', 'deadline', 'startedAt'],
    optional: ['endedAt', 'code', 'idempotencyKey', 'bodyHash', 'way', 'rollbackOf', 'graceEndsAt', 'node'],
  })
  const state = RECORD_STATES.find((known) => known === raw['state'])
  if (state === undefined) throw malformed(`${where}.state`)
  return {
    id: text(raw['id'], `${where}.id`),
    state,
    // Not looked up among the versions: an old rotation outlives its version.
    version: versionId(raw['version'], `${where}.version`),
    deadline: time(raw['deadline'], `${where}.deadline`),
    startedAt: time(raw['startedAt'], `${where}.startedAt`),
    endedAt: raw['endedAt'] === undefined ? undefined : time(raw['endedAt'], `${where}.endedAt`),
    code: optionalText(raw['code'], `${where}.code`),
    idempotencyKey: optionalText(raw['idempotencyKey'], `${where}.idempotencyKey`),
    bodyHash: optionalText(raw['bodyHash'], `${where}.bodyHash`),
    ...present('node', raw['node'], where, text),
    ...present('way', raw['way'], where, way),
    ...present('rollbackOf', raw['rollbackOf'], where, text),
    ...present('graceEndsAt', raw['graceEndsAt'], where, time),
  }
}

/** A field that items of earlier versions do not have. */
function present<Name extends string, T>(
  name: Name,
  value: unknown,
  where: string,
  parse: (value: unknown, where: string) => T,
): { [key in Name]?: T } {
  return value === undefined ? {} : ({ [name]: parse(value, `${where}.${name}`) } as { [key in Name]: T })
}

function way(value: unknown, where: string): RotationWay {
  const known = WAYS.find((one) => one === value)
  if (known === undefined) throw malformed(where)
  return known
}

type Entry = { value: unknown; where: string }

function parseJson(text: Secret, where: string): unknown {
  try {
    return JSON.parse(text.reveal())
  } catch {
    // The SyntaxError quotes the text that it stumbled over, so it must not even be the cause.
    throw malformed(where)
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function fields(value: unknown, where: string, names: { required: string[]; optional: string[] }) {
  if (!isObject(value)) throw malformed(where)
  const known = new Set([...names.required, ...names.optional])
  if (!Object.keys(value).every((name) => known.has(name))) throw malformed(`${where} (an unknown field)`)
  if (!names.required.every((name) => Object.hasOwn(value, name))) throw malformed(`${where} (a field is missing)`)
  return value
}

function list(value: unknown, where: string): Entry[] {
  if (!Array.isArray(value)) throw malformed(where)
  return value.map((entry, index) => ({ value: entry, where: `${where}[${index}]` }))
}

function text(value: unknown, where: string): string {
  if (typeof value !== 'string') throw malformed(where)
  return value
}

function optionalText(value: unknown, where: string): string | undefined {
  return value === undefined ? undefined : text(value, where)
}

function versionId(value: unknown, where: string): string {
  const id = text(value, where)
  if (!VERSION_ID.test(id)) throw malformed(where)
  return id
}

function time(value: unknown, where: string): string {
  const stamp = text(value, where)
  if (Number.isNaN(Date.parse(stamp))) throw malformed(where)
  return stamp
}

function counter(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed(where)
  return value
}

function malformed(where: string): RegcreddError {
  return fault('malformed', { where })
}
