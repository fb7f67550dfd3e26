import { Secret } from '../secret.ts'

/** One registry's entry. `key` is the credential's: `host` or `host/path`. */
export type Login = { key: string; username: string; secret: Secret; email: string | undefined }

/** Entries to take over as they stand from the content of the very Secret that is about to be written. */
export type Kept = { from: Secret; keys: string[] }

/** The Hub's key in every `.dockerconfigjson`, for historical reasons; the others are the credential's own. */
const HUB_SERVER = 'https://index.docker.io/v1/'

/** The key under which kubelet and the docker tools look a registry up. */
export function serverOf(key: string): string {
  return key === 'docker.io' ? HUB_SERVER : key
}

/**
 * The content of `.dockerconfigjson`, byte for byte what `kubectl create secret docker-registry` writes: `email` only where there
 * is one, servers sorted, HTML's special characters escaped as Go's encoder does it.
 * https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/
 */
export function dockerConfigJson(logins: Login[], kept: Kept | undefined): Secret {
  const entries = new Map(kept === undefined ? [] : keptEntries(kept))
  for (const login of logins) entries.set(serverOf(login.key), entryOf(login))
  const auths = Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)))
  return new Secret(escapeAsGo(JSON.stringify({ auths })))
}

/** Content as it stands in a Secret's `data` field: base64. Only for the body of the request that writes it. */
export function toData(content: Secret): Record<string, string> {
  return { '.dockerconfigjson': Buffer.from(content.reveal()).toString('base64') }
}

/** The content of a Secret that was read, `undefined` where the field is missing. */
export function fromData(data: Record<string, string> | undefined): Secret | undefined {
  const base64 = data?.['.dockerconfigjson']
  return base64 === undefined ? undefined : new Secret(Buffer.from(base64, 'base64').toString())
}

function entryOf({ username, secret, email }: Login): object {
  const password = secret.reveal()
  const auth = Buffer.from(`${username}:${password}`).toString('base64')
  return { username, password, ...(email === undefined || email === '' ? {} : { email }), auth }
}

/** How many servers a content knows beside those of `keys`; what kubelet cannot read counts as none. */
export function serversBeside(content: Secret, keys: string[]): number {
  const known = new Set(keys.map(serverOf))
  return Object.keys(authsOf(content)).filter((server) => !known.has(server)).length
}

function authsOf(content: Secret): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(content.reveal())
    return isRecord(parsed) && isRecord(parsed['auths']) ? parsed['auths'] : {}
  } catch {
    return {}
  }
}

function keptEntries({ from, keys }: Kept): [string, unknown][] {
  const auths = authsOf(from)
  return keys
    .map((key): [string, unknown] => [serverOf(key), Object.hasOwn(auths, serverOf(key)) ? auths[serverOf(key)] : null])
    .filter(([, entry]) => isRecord(entry))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** encoding/json's Marshal writes these five as \uXXXX, so that JSON can stand in HTML. */
function escapeAsGo(json: string): string {
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
