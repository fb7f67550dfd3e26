import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { ask } from '../../src/upstream/ask.ts'

const never = new AbortController().signal

test('what was answered by halves is not asked again: a login would count twice', async (t) => {
  let asked = 0
  const server = createServer((request, response) => {
    asked += 1
    response.writeHead(200, { 'content-length': 100 })
    if (asked === 1) response.end('x'.repeat(100))
    else response.write('x', () => setTimeout(() => request.socket.resetAndDestroy(), 20))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => {
    agent.destroy()
    server.close()
  })
  const to = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  const question = { method: 'GET', to, headers: {}, agent, timeoutMs: 5_000, maxBodyBytes: 1_000 } as const
  assert.equal((await ask(question, never)).status, 200)
  await assert.rejects(ask(question, never), { code: 'UPSTREAM_UNREACHABLE' })
  assert.equal(asked, 2)
})
