import { type DestinationStream, destination, pino, stdTimeFunctions } from 'pino'
import { RegcreddError } from './errors.ts'
import { Secret } from './secret.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
type Fields = Record<string, unknown>

/** What the daemon logs through. Fields come first, the message last, as pino has them; an error goes into the field `err`. */
export type Logger = Record<LogLevel, (fields: Fields, message: string) => void> & {
  /** A logger that adds these fields to every line. */
  child: (fields: Fields) => Logger
}

const REDACTED = '[redacted]'
const WITHHELD = '[withheld]'
const MAX_TEXT = 2048
const MAX_WAITING_BYTES = 1_048_576
const MAX_DEPTH = 6
const MAX_ITEMS = 50
const MAX_FRAMES = 12
const MAX_KEPT_NAMES = 1_000

/** Names whose values are secrets, and those that carry others' bytes: an `ApiException` has `body`, a parse error `rawPacket`. */
const SECRET_NAME =
  /(?:password|passwd|passphrase|secret|token|authorization|cookie|apikey|privatekey|registryauth|dockerconfigjson)$|^auth$/
const FOREIGN_NAME =
  /^(?:headers|rawheaders|trailers|body|rawbody|data|input|rawpacket|request|response|config|env|argv|spawnargs)$/

const WORTH_SCRUBBING = /[?\s\u007f-\u009f\u200e-\u200f\u2028-\u202e\u2066-\u2069]|:\/\/|eyJ|ewo/
const UNSAFE_CHARACTER = /[\u007f-\u009f\u200e-\u200f\u2028-\u202e\u2066-\u2069]/g
const USERINFO = /:\/\/[^/\s?#"'<>]*@/g
const URL_QUERY = /(:\/\/[^\s?"'<>]*)\?[^\s"'<>]*/g
const QUERY = /\?[^\s"'<>]*=[^\s"'<>]*/g
const AUTHORIZATION = /\b(Basic|Bearer|Digest|Negotiate)\s+[A-Za-z0-9+/=._~-]{3,}/gi
/** How `{"` and an indented `{` begin: tokens, and the `auths` of a pull secret. */
const JSON_IN_BASE64 = /(?:eyJ|ewo[gJ])[A-Za-z0-9+/_=-]{8,}(?:\.[A-Za-z0-9_-]+)*/g

const FRAME = /^ {4}at (?:(?:async |new )?[\w$.<>[\] ]{1,120} \()?(?:file:\/\/|node:|\/)[\w/.@+-]{1,250}:\d+:\d+\)?$/
const CODE = /^[A-Z][A-Z0-9_]{1,63}$/
const NAME = /^[A-Za-z][A-Za-z0-9_]{0,63}$/
/** Errors of the system, of TLS and of the HTTP parser: Node writes their messages, of addresses, paths and certificate names. */
const TRUSTED_CODE =
  /^(?:CERT_|UNABLE_TO_|DEPTH_ZERO_SELF_SIGNED_CERT$|SELF_SIGNED_CERT_IN_CHAIN$|ERR_TLS_CERT_ALTNAME_INVALID$|HPE_)/
const SYSTEM_CODE = /^E[A-Z0-9]{2,20}$/

/**
 * A logger of JSON lines, to stdout unless another stream is given. Whatever it is handed, it prints plain values only: no `Secret`,
 * no value of a name like `authorization` or `password`, no user name or query of a URL, no message of an error that is not ours or
 * Node's own. It never throws. Lines are
 * written behind, in order, and at the process's own end at the latest: a reader that stalls (journald) stalls no pull, and costs lines
 * only when a megabyte waits.
 */
export function createLogger({ level, stream }: { level: LogLevel; stream?: DestinationStream }): Logger {
  // A second net below `clean`, which works by name at any depth: pino's paths with wildcards would cost 16 µs a line.
  const names = ['authorization', 'Authorization', 'password', 'secret', 'token', 'cookie', 'headers', 'body']
  const logger = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      // pino's own would put the messages of all causes together
      serializers: { err: (value: unknown) => value },
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: names, censor: REDACTED },
    },
    stream ?? destination({ dest: 1, sync: false, maxLength: MAX_WAITING_BYTES }),
  )
  return withFields(logger, {})
}

function withFields(logger: pino.Logger, bound: Fields): Logger {
  const write = (level: LogLevel) => (fields: Fields, message: string) => {
    if (logger.isLevelEnabled(level)) logger[level]({ ...bound, ...cleanFields(fields) }, scrub(message))
  }
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => withFields(logger, { ...bound, ...cleanFields(fields) }),
  }
}

/** What a name says of its value, kept for those that were met: every line has the same few, and the patterns cost more than the line. */
type NameKind = { is: 'secret' | 'foreign' | 'plain'; printed: string }
const kinds = new Map<string, NameKind>()

function kindOf(name: string): NameKind {
  const known = kinds.get(name)
  if (known !== undefined) return known
  const lower = name.replace(/[-_]/g, '').toLowerCase()
  const is = SECRET_NAME.test(lower) ? 'secret' : FOREIGN_NAME.test(lower) ? 'foreign' : 'plain'
  const kind: NameKind = { is, printed: scrub(name) }
  if (kinds.size < MAX_KEPT_NAMES) kinds.set(name, kind)
  return kind
}

/** `value` as plain data that is safe to print: what is not known to be harmless is named, not shown. */
export function clean(value: unknown, name = '', depth = 0): unknown {
  if (value === undefined || value === null) return value
  const { is } = kindOf(name)
  if (is === 'secret' || value instanceof Secret) return REDACTED
  if (is === 'foreign') return WITHHELD
  if (typeof value === 'string') return scrub(value)
  if (typeof value === 'number' || typeof value === 'boolean') return value
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object') return `[${typeof value}]`
  if (value instanceof Error) return describeError(value, depth)
  if (value instanceof URL) return `${value.origin === 'null' ? value.protocol : value.origin}${scrub(value.pathname)}`
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '[Date]' : value.toISOString()
  if (depth >= MAX_DEPTH) return '[deep]'
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((item) => clean(item, '', depth + 1))
  // Buffers, maps, requests, sockets and other people's classes: nobody knows what they hold.
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null ? cleanFields(value as Fields, depth + 1) : '[object]'
}

function cleanFields(fields: Fields, depth = 0): Fields {
  if (fields instanceof Error) return { err: describeError(fields, depth) }
  try {
    const entries = Object.entries(fields).slice(0, MAX_ITEMS)
    return Object.fromEntries(entries.map(([name, value]) => [kindOf(name).printed, clean(value, name, depth)]))
  } catch {
    return { unreadable: true } // a getter that throws must not take the caller down
  }
}

/** An error without anything that its maker may have put in: code, our own messages, Node's own, frames of the stack, causes. */
function describeError(error: Error, depth: number): Fields {
  const fields: Fields = {}
  const { name, code, syscall, stack, errors, cause } = ownParts(error)
  if (error instanceof RegcreddError) {
    Object.assign(fields, { code: error.code, message: scrub(error.message) })
  } else {
    if (typeof name === 'string' && NAME.test(name)) fields['name'] = name
    if (typeof code === 'number' || (typeof code === 'string' && CODE.test(code))) fields['code'] = code
    const isSystem = typeof syscall === 'string' && typeof code === 'string' && SYSTEM_CODE.test(code)
    const isTrusted = isSystem || (typeof code === 'string' && TRUSTED_CODE.test(code))
    if (isTrusted) fields['message'] = scrub(error.message)
    else fields['stack'] = framesOf(stack, error.message)
  }
  if (depth >= MAX_DEPTH) return fields
  if (Array.isArray(errors)) fields['errors'] = errors.slice(0, 4).map((item) => causeOf(item, depth + 1))
  if (cause !== undefined) fields['cause'] = causeOf(cause, depth + 1)
  return fields
}

function causeOf(thrown: unknown, depth: number): unknown {
  return thrown instanceof Error ? describeError(thrown, depth) : `[${typeof thrown}]`
}

function ownParts(error: Error): Record<'name' | 'code' | 'syscall' | 'stack' | 'errors' | 'cause', unknown> {
  const read = (key: string): unknown => {
    try {
      return Reflect.get(error, key)
    } catch {
      return undefined
    }
  }
  return {
    name: read('name'),
    code: read('code'),
    syscall: read('syscall'),
    stack: read('stack'),
    errors: read('errors'),
    cause: read('cause'),
  }
}

/** Only lines that are frames to the letter: above them stands the message, which may itself have lines that look like frames. */
function framesOf(stack: unknown, message: string): string[] {
  if (typeof stack !== 'string') return []
  const lines = stack.split('\n').slice(message.split('\n').length)
  const lastOther = lines.findLastIndex((line) => !FRAME.test(line))
  return lines.slice(lastOther + 1, lastOther + 1 + MAX_FRAMES).map((line) => line.trim())
}

function scrub(text: string): string {
  const bounded = text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`
  if (!WORTH_SCRUBBING.test(bounded)) return bounded
  return bounded
    .replace(USERINFO, `://${REDACTED}@`)
    .replace(URL_QUERY, `$1?${REDACTED}`)
    .replace(QUERY, `?${REDACTED}`)
    .replace(AUTHORIZATION, `$1 ${REDACTED}`)
    .replace(JSON_IN_BASE64, REDACTED)
    .replace(UNSAFE_CHARACTER, '\ufffd')
}
