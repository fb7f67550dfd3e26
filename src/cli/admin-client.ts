import { request } from 'node:http'
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

export type AdminClient = (request: AdminRequest) => Promise<unknown>

/** A login waits for the registry, which may take its time. */
const ANSWER_TIMEOUT_MS = 120_000
const MAX_ANSWER_BYTES = 32 * 1024 * 1024

/**
 * Speaks to the daemon over its unix socket; gives the JSON of a good answer, `undefined` for an empty one.
 * Throws DAEMON_UNREACHABLE, PERMISSION_DENIED, and Refusal where the daemon answers with an error.
 */
export function adminClient(socketPath: string): AdminClient {
  return async (sent) => {
    const { status, text } = await exchange(socketPath, sent)
    const body = parse(text)
    if (status < 200 || status > 299) throw new Refusal(status, body)
    if (text !== '' && body === undefined) throw notOurs(socketPath)
    return body
  }
}

function exchange(socketPath: string, sent: AdminRequest): Promise<{ status: number; text: string }> {
  const { method, path, body } = sent
  const headers = {
    accept: 'application/json',
    ...actorHeader(process.env),
    ...(body !== undefined && jsonHeaders(body)),
    ...sent.headers,
  }
  // A connection of its own, so that nothing keeps the process alive afterwards.
  const options = { socketPath, method, path, headers, agent: false, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }
  return new Promise((resolve, reject) => {
    const outgoing = request(options, (answer) => {
      const chunks: Buffer[] = []
      let sizeBytes = 0
      answer.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length
        if (sizeBytes > MAX_ANSWER_BYTES) answer.destroy(notOurs(socketPath))
        else chunks.push(chunk)
      })
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }))
      answer.on('error', (cause) => reject(connectionError(socketPath, cause)))
    })
    outgoing.on('error', (cause) => reject(connectionError(socketPath, cause)))
    outgoing.end(body)
  })
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
