import http, { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import https from 'node:https'
import { RegcreddError } from '../errors.ts'
import { toConnectionError } from './connection-error.ts'
import { orAborted } from './or-aborted.ts'

/** Node's default of 16 KiB fails on the challenges and cookies of large installations (HPE_HEADER_OVERFLOW). */
const MAX_HEADER_BYTES = 65_536

export type Question = {
  method: 'GET' | 'POST'
  to: URL
  headers: Record<string, string>
  body?: string
  agent: http.Agent
  /** From the first try to connect to the last byte of the answer. */
  timeoutMs: number
  /** Of the answer's body; 0: it is not read at all. */
  maxBodyBytes: number
}

export type Answer = { status: number; headers: IncomingHttpHeaders; challenges: string[]; body: string }

/**
 * Asks once and reads the whole answer; follows no redirect. For the daemon's own small questions, not for pulls.
 * @throws UPSTREAM_UNREACHABLE, UPSTREAM_TIMEOUT, UPSTREAM_MALFORMED (also for a body that is too long), ADDRESS_REFUSED
 */
export async function ask(question: Question, signal: AbortSignal): Promise<Answer> {
  const deadline = AbortSignal.timeout(question.timeoutMs)
  const either = AbortSignal.any([signal, deadline])
  for (let attempt = 1; ; attempt++) {
    const request = send(question, either)
    let isAnswered = false
    request.once('response', () => {
      isAnswered = true
    })
    try {
      // A request that waits for a connection ends only when it has got one, whatever its signal says.
      return await orAborted(answerOf(request, question), either)
    } catch (thrown) {
      if (signal.aborted) throw new RegcreddError('UPSTREAM_UNREACHABLE', 'the request was given up', { cause: thrown })
      if (deadline.aborted) throw new RegcreddError('UPSTREAM_TIMEOUT', undefined, { cause: thrown })
      const isReset = (thrown as NodeJS.ErrnoException).code === 'ECONNRESET'
      const isStaleSocket = request.reusedSocket && isReset && !isAnswered
      // A kept connection was being closed just then: nothing was answered, and asking again does no harm.
      if (!isStaleSocket || attempt > 1) throw toConnectionError(thrown)
    }
  }
}

function send(question: Question, signal: AbortSignal): ClientRequest {
  const { method, to, agent, headers, body } = question
  const client = to.protocol === 'https:' ? https : http
  const request = client.request(to, { method, agent, headers, signal, maxHeaderSize: MAX_HEADER_BYTES })
  request.end(body)
  return request
}

async function answerOf(request: ClientRequest, { maxBodyBytes }: Question): Promise<Answer> {
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).once('error', reject)
  })
  const body = maxBodyBytes === 0 ? '' : await readBody(message, maxBodyBytes)
  if (maxBodyBytes === 0) message.destroy()
  return {
    status: message.statusCode ?? 0,
    headers: message.headers,
    challenges: message.headersDistinct['www-authenticate'] ?? [],
    body,
  }
}

async function readBody(message: IncomingMessage, maxBodyBytes: number): Promise<string> {
  const pieces: Buffer[] = []
  let sizeBytes = 0
  for await (const piece of message) {
    sizeBytes += piece.length
    // Leaving the loop destroys the message and with it the connection.
    if (sizeBytes > maxBodyBytes) throw new RegcreddError('UPSTREAM_MALFORMED', `more than ${maxBodyBytes} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString()
}
