import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type HealthParts, startHealth } from '../src/health.ts'

async function start(t: TestContext, more: Partial<HealthParts> = {}) {
  const errors: unknown[] = []
  const health = await startHealth({
    listen: { host: '127.0.0.1', port: 0 },
    ready: () => ({ ready: true, reasons: [] }),
    metricsText: async () => 'up 1\n',
    metricsContentType: 'text/plain; version=0.0.4; charset=utf-8',
    onError: (error) => errors.push(error),
    ...more,
  })
  t.after(() => health.close())
  return { ...health, errors }
}

type Told = { status: number; type: string | undefined; length: string | undefined; body: string }

function ask(port: number, path: string, { method = 'GET', host = `127.0.0.1:${port}` } = {}): Promise<Told> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, method, headers: { host }, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers['content-type'],
          length: response.headers['content-length'],
          body,
        }),
      )
    })
      .on('error', reject)
      .end()
  })
}

function askRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(text))
    let answer = ''
    socket.setEncoding('utf8').on('data', (piece: string) => {
      answer += piece
    })
    socket.on('end', () => resolve(answer)).on('error', reject)
  })
}

test('healthz says ok, also when the daemon is not ready', async (t) => {
  const { port } = await start(t, { ready: () => ({ ready: false, reasons: ['the keychain is locked'] }) })
  const { status, body } = await ask(port, '/healthz')
  assert.deepEqual([status, body], [200, 'ok\n'])
})

test('readyz is 503 with one reason a line, and 200 once nothing stands in the way', async (t) => {
  const reasons = ['the keychain is locked', 'the audit cannot be written: ENOSPC']
  const { port } = await start(t, { ready: () => ({ ready: reasons.length === 0, reasons }) })
  const before = await ask(port, '/readyz')
  assert.deepEqual(
    [before.status, before.body],
    [503, 'not ready\nthe keychain is locked\nthe audit cannot be written: ENOSPC\n'],
  )
  reasons.length = 0
  const after = await ask(port, '/readyz?verbose')
  assert.deepEqual([after.status, after.body], [200, 'ready\n'])
})

test('metrics come with their content type', async (t) => {
  const { port } = await start(t)
  assert.deepEqual(await ask(port, '/metrics'), {
    status: 200,
    type: 'text/plain; version=0.0.4; charset=utf-8',
    length: '5',
    body: 'up 1\n',
  })
})

test('HEAD has the same head and no body', async (t) => {
  const { port } = await start(t)
  const { status, length, body } = await ask(port, '/metrics', { method: 'HEAD' })
  assert.deepEqual([status, length, body], [200, '5', ''])
})

test('other methods and paths are refused', async (t) => {
  const { port } = await start(t)
  assert.equal((await ask(port, '/healthz', { method: 'POST' })).status, 405)
  assert.equal((await ask(port, '/v2/')).status, 404)
})

test('a Host that is a name is refused, so that DNS rebinding reads nothing', async (t) => {
  const { port } = await start(t)
  for (const host of [
    'attacker.example',
    `attacker.example:${port}`,
    '127.0.0.1.nip.example',
    '10.0.0.1',
    '[::1',
    '127.0.0.1:x',
  ]) {
    assert.equal((await ask(port, '/metrics', { host })).status, 403, host)
  }
  for (const host of ['127.0.0.1', `localhost:${port}`, '[::1]:80', '127.0.0.2']) {
    assert.equal((await ask(port, '/metrics', { host })).status, 200, host)
  }
})

test('a request with no Host, an empty one or two is refused', async (t) => {
  const { port } = await start(t)
  assert.match(await askRaw(port, 'GET /metrics HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 403 /)
  assert.match(await askRaw(port, 'GET /metrics HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 403 /)
  const two = 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n'
  assert.match(await askRaw(port, two), /^HTTP\/1\.1 403 /)
})

test('where a wider address is listened on, any address is a good Host and a name still is not', async (t) => {
  const { port } = await start(t, { listen: { host: '0.0.0.0', port: 0 } })
  assert.equal((await ask(port, '/healthz', { host: '10.0.0.1:5051' })).status, 200)
  assert.equal((await ask(port, '/healthz', { host: 'attacker.example' })).status, 403)
})

test('a scrape that fails is a 500 without detail, and the error goes to the log', async (t) => {
  const failure = new Error('inside')
  const { port, errors } = await start(t, {
    metricsText: async () => {
      throw failure
    },
  })
  const { status, body } = await ask(port, '/metrics')
  assert.deepEqual([status, body, errors], [500, 'internal error\n', [failure]])
})

test('a taken port is LISTEN_FAILED with the address and what to do', async (t) => {
  const { port } = await start(t)
  await assert.rejects(start(t, { listen: { host: '127.0.0.1', port } }), (error: Error) => {
    assert.equal((error as Error & { code: string }).code, 'LISTEN_FAILED')
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}: another process listens there .* health\\.listen`))
    return true
  })
})

test('close ends a connection with half a request', { timeout: 30_000 }, async (t) => {
  const { port, close } = await startHealth({
    listen: { host: '127.0.0.1', port: 0 },
    ready: () => ({ ready: true, reasons: [] }),
    metricsText: async () => '',
    metricsContentType: 'text/plain',
    onError: () => {},
  })
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  socket.on('error', () => {}) // a reset is one way to be closed
  await new Promise((resolve) => socket.write('GET /healthz HTTP/1.1\r\n', resolve))
  await sleep(50) // until the server has read it
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.resume()
  await close()
  await closed
})
