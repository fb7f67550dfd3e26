import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { RegcreddError } from '../errors.ts'
import { actorHeader } from './actor.ts'
import { Refusal } from './refusal.ts'

export type AdminRequest = {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  path: string
  headers?: Record<string, string>
  /** JSON text. */
  body?: string
}

const DATA = 'data: '

export type AdminClient = (request: AdminRequest) => Promise<unknown>

/** A login waits for the registry, which may take its time. */
const ANSWER_TIMEOUT_MS = 120_000
const MAX_ANSWER_CHARACTERS = 32 * 1024 * 1024

/**
 * Speaks to the daemon over its unix socket; gives the JSON of a good answer, `undefined` for an empty one.
 * Throws DAEMON_UNREACHABLE, PERMISSION_DENIED, and Refusal where the daemon answers with an error.
 */
export function adminClient(socketPath: string): AdminClient {
  return async (sent) => {
    let text = ''
    const status = await exchange(socketPath, sent, AbortSignal.timeout(ANSWER_TIMEOUT_MS), (piece) => {
      text += piece
      if (text.length > MAX_ANSWER_CHARACTERS) throw notOurs(socketPath)
    })
    return bodyOf(socketPath, status, text)
  }
}

/** Gives the status of an answer whose every piece was told. */
async function exchange(
  socketPath: string,
  sent: AdminRequest,
  signal: AbortSignal,
  onPiece: (piece: string, answer: IncomingMessage) => void,
): Promise<number> {
  const { method, path, body } = sent
  const headers = {
    accept: 'application/json',
    ...actorHeader(process.env),
    ...(body !== undefined && jsonHeaders(body)),
    ...sent.headers,
  }
  // A connection of its own, so that nothing keeps the process alive afterwards.
  const outgoing = request({ socketPath, method, path, headers, agent: false, signal })
  outgoing.end(body)
  try {
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    outgoing.on('error', () => undefined)
    for await (const piece of answer.setEncoding('utf8')) onPiece(piece, answer)
    return answer.statusCode ?? 0
  } catch (thrown) {
    throw connectionError(socketPath, thrown as NodeJS.ErrnoException)
  }
}

function bodyOf(socketPath: string, status: number, text: string): unknown {
  const body = parse(text)
  if (status < 200 || status > 299) throw new Refusal(status, body)
  if (text !== '' && body === undefined) throw notOurs(socketPath)
  return body
}

/** Tells a resource as it is, and again whenever it changes, until the daemon ends its answer or the time is over. */
export type AdminFollower = (path: string, forMs: number, onValue: (value: unknown) => void) => Promise<void>

/** Follows a resource by its event stream (docs/api.md); a daemon that has none for it tells it once. Throws as `adminClient` does. */
export function adminFollower(socketPath: string): AdminFollower {
  return async (path, forMs, onValue) => {
    const signal = AbortSignal.timeout(forMs)
    let text = ''
    let isStream = false
    const sent: AdminRequest = { method: 'GET', path, headers: { accept: 'text/event-stream, application/json;q=0.5' } }
    try {
      const status = await exchange(socketPath, sent, signal, (piece, { headers }) => {
        text += piece
        if (text.length > MAX_ANSWER_CHARACTERS) throw notOurs(socketPath)
        isStream = headers['content-type'] === 'text/event-stream'
        if (!isStream) return
        const lines = text.split('\n')
        text = lines.pop() ?? ''
        for (const line of lines) if (line.startsWith(DATA)) onValue(parse(line.slice(DATA.length)))
      })
      if (!isStream) onValue(bodyOf(socketPath, status, text))
    } catch (thrown) {
      if (!signal.aborted) throw thrown
    }
  }
}

function jsonHeaders(body: string): Record<string, string> {
  return { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function notOurs(socketPath: string): RegcreddError {
  return new RegcreddError('DAEMON_UNREACHABLE', `what answers on ${socketPath} is no regcredd of this version`)
}

function connectionError(socketPath: string, cause: NodeJS.ErrnoException): Error {
  if (cause instanceof RegcreddError) return cause
  switch (cause.code) {
    case 'EACCES':
    case 'EPERM':
      return new RegcreddError(
        'PERMISSION_DENIED',
        `${socketPath} is for root and the group of the daemon (usermod -aG regcredd YOU, then log in again)`,
        { cause },
      )
    case 'ENOENT':
      return unreachable(`there is no socket at ${socketPath}; is the daemon running? systemctl status regcredd`, cause)
    case 'ECONNREFUSED':
      return unreachable(`nobody listens on ${socketPath}; is the daemon running? systemctl status regcredd`, cause)
    case 'ABORT_ERR':
      return unreachable(`no answer within ${ANSWER_TIMEOUT_MS / 1_000} s; journalctl -u regcredd may tell why`, cause)
    default:
      return unreachable(`${socketPath}: ${cause.code ?? 'the connection broke'}`, cause)
  }
}

function unreachable(detail: string, cause: Error): RegcreddError {
  return new RegcreddError('DAEMON_UNREACHABLE', detail, { cause })
}
