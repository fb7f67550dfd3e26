import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Call = { method: string; path: string; query: URLSearchParams; body: string }
/** Answers one call; `n` counts the calls from 1. */
export type Script = (call: Call, answer: ServerResponse, n: number) => void

/** A scripted API server, for what a real one cannot be made to do: storms of conflicts, pauses asked for, silence, broken connections. */
export async function startFakeKubeApi(script: Script) {
  const calls: Call[] = []
  const server = createServer(async (request: IncomingMessage, answer) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const url = new URL(request.url ?? '', 'http://localhost')
    const call = { method: request.method ?? '', path: url.pathname, query: url.searchParams, body }
    calls.push(call)
    script(call, answer, calls.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const dir = await mkdtemp(join(tmpdir(), 'regcredd-fake-'))
  const kubeconfig = join(dir, 'kubeconfig')
  const cluster = { server: `http://127.0.0.1:${address.port}`, 'insecure-skip-tls-verify': true }
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: 'fake', cluster }],
      users: [{ name: 'fake', user: { token: 'fake' } }],
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake' } }],
      'current-context': 'fake',
    }),
  )
  return {
    kubeconfig,
    calls,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** Sends a Status object as the API server words its refusals. */
export function refuse(
  answer: ServerResponse,
  code: number,
  parts: { reason?: string; message?: string; headers?: Record<string, string> } = {},
): void {
  const { reason, message = '', headers = {} } = parts
  answer.writeHead(code, { 'content-type': 'application/json', ...headers })
  answer.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }))
}

/** Sends the object that the caller just wrote, as the API server does. */
export function accept(answer: ServerResponse, call: Call): void {
  answer.writeHead(call.method === 'POST' ? 201 : 200, { 'content-type': 'application/json' })
  const { metadata, ...rest } = JSON.parse(call.body)
  answer.end(JSON.stringify({ ...rest, metadata: { uid: 'uid-1', resourceVersion: '7', ...metadata } }))
}
