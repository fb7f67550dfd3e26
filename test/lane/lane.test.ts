import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer, request as httpRequest } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { parseHead } from '../../src/lane/head.ts'
import { createLane, type Lane } from '../../src/lane/lane.ts'
import { SLAB_BYTES } from '../../src/lane/slab.ts'
import { eventually } from '../helpers/eventually.ts'

const never = new AbortController().signal
const headers = { host: 'registry.corp.example' }
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'

/** A server that answers each connection's requests with the given bytes, in turn. */
async function rawServer(
  answer: (socket: Socket, nth: number) => void,
): Promise<{ port: number; connections: () => number; close: () => void }> {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => undefined)
    let nth = 0
    socket.on('data', () => {
      nth += 1
      answer(socket, nth)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

type Got = { status: number; body: Buffer; cut: boolean } | 'refused' | 'lost'

/** What a caller gets whose request is answered by the lane, over a real node:http server. */
async function through(lane: Lane, method: 'GET' | 'HEAD' = 'GET'): Promise<Got> {
  let taken: Awaited<ReturnType<Lane['send']>> | undefined
  const server: Server = createHttpServer((_request, response) => {
    void (async () => {
      taken = await lane.send({ method, path: '/v2/', headers, answerTimeoutMs: 10_000 }, never)
      if (typeof taken === 'string') {
        response.destroy()
        return
      }
      response.writeHead(taken.head.status, { 'content-length': taken.head.headers['content-length'] })
      await taken.body.stream(response, 10_000)
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const request = httpRequest({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, method, agent: false })
  request.end()
  try {
    return await new Promise<Got>((resolve) => {
      request.on('error', () =>
        resolve(typeof taken === 'string' ? taken : { status: 0, body: Buffer.alloc(0), cut: true }),
      )
      request.on('response', (answer) => {
        const pieces: Buffer[] = []
        const end = (cut: boolean) => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(pieces), cut })
        answer.on('data', (piece: Buffer) => pieces.push(piece))
        answer.on('end', () => end(false)).on('error', () => end(true))
      })
    })
  } finally {
    server.close()
  }
}

/** What node:http reads from the same bytes: the head and the body, or that it refuses them. */
async function nodeReads(
  bytes: Buffer,
  method: string,
): Promise<{ status: number; headers: Record<string, unknown>; body: string } | 'refused'> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(bytes))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const request = httpRequest({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, method, agent: false })
  request.end()
  try {
    return await new Promise((resolve) => {
      request.on('error', () => resolve('refused'))
      request.on('response', (answer) => {
        let body = ''
        answer.setEncoding('latin1').on('data', (piece) => {
          body += piece
        })
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }))
        answer.on('error', () => resolve('refused'))
      })
    })
  } finally {
    server.close()
  }
}

const refusedHeads: [why: string, head: string][] = [
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 5'],
  ['a 1xx', 'HTTP/1.1 100 Continue\r\nContent-Length: 5'],
  ['a 204', 'HTTP/1.1 204 No Content\r\nContent-Length: 0'],
  ['no length', 'HTTP/1.1 200 OK'],
  ['two lengths, even alike', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5'],
  ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5, 5'],
  ['a signed length', 'HTTP/1.1 200 OK\r\nContent-Length: +5'],
  ['a hexadecimal length', 'HTTP/1.1 200 OK\r\nContent-Length: 0x5'],
  ['an endless length', `HTTP/1.1 200 OK\r\nContent-Length: ${'9'.repeat(16)}`],
  ['Transfer-Encoding', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked'],
  ['Upgrade', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nUpgrade: h2c'],
  ['an unknown Connection option', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close, content-length'],
  ['a folded line', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5'],
  ['a bare line feed', 'HTTP/1.1 200 OK\nContent-Length: 5'],
  ['a bare line feed in a value', 'HTTP/1.1 200 OK\r\nX: a\nContent-Length: 5'],
  ['a bare carriage return', 'HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 5'],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 5'],
  ['NUL', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5'],
  ['a field without a name', 'HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 5'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 5'],
]
for (const [why, head] of refusedHeads) {
  test(`the lane does not take ${why}`, () => assert.equal(parseHead(Buffer.from(head, 'latin1'), 'GET'), undefined))
}

test('the lane takes a plain head, with its challenges and the body that its method and status have', () => {
  const text =
    'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="a"\r\ncontent-length:\t7 \r\nwww-authenticate: Bearer realm="b"\r\nConnection: close'
  const head = parseHead(Buffer.from(text), 'GET')
  assert.deepEqual(
    { ...head, headers: { ...head?.headers } },
    {
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="a", Bearer realm="b"', 'content-length': '7', connection: 'close' },
      challenges: ['Basic realm="a"', 'Bearer realm="b"'],
      bodyBytes: 7,
      keepAlive: false,
    },
  )
  assert.equal(parseHead(Buffer.from(text), 'HEAD')?.bodyBytes, 0)
  assert.equal(parseHead(Buffer.from('HTTP/1.1 304 x\r\nContent-Length: 7'), 'GET')?.bodyBytes, 0)
})

test('whatever head the lane takes, node:http reads in the same way', async () => {
  const name = fc.constantFrom(
    'Content-Length',
    'content-length',
    'Transfer-Encoding',
    'Connection',
    'ETag',
    'X-Y',
    'Docker-Content-Digest',
    'Content-Length ',
    'Trailer',
    'WWW-Authenticate',
  )
  const value = fc.oneof(
    fc.constantFrom(
      '5',
      '0',
      '3',
      '005',
      '5 ',
      '\t5',
      '5,5',
      '-1',
      'chunked',
      'close',
      'keep-alive',
      'Keep-Alive',
      '',
      '"a"',
      '\x80\xff',
      'identity',
    ),
    fc.string({ unit: 'binary-ascii', maxLength: 6 }),
  )
  const end = fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\r\n ')
  const field = fc.tuple(name, fc.constantFrom(':', ': ', ' : ', ':\t'), value, end).map((parts) => parts.join(''))
  const status = fc.constantFrom(
    'HTTP/1.1 200 OK',
    'HTTP/1.1 206',
    'HTTP/1.1 404 ',
    'HTTP/1.1 307 x',
    'HTTP/1.1 304 y',
    'HTTP/1.0 200 OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1 99 x',
    'http/1.1 200 OK',
    'HTTP/1.1 200\tOK',
  )
  let taken = 0
  await fc.assert(
    fc.asyncProperty(
      status,
      fc.array(field, { maxLength: 4 }),
      fc.constantFrom('GET' as const, 'HEAD' as const),
      async (line, fields, method) => {
        const withLength = fields.some((text) => /^content-length:/i.test(text))
          ? fields
          : [...fields, 'Content-Length: 5\r\n']
        const head = Buffer.from(`${line}\r\n${withLength.join('')}`.replace(/\r\n$/, ''), 'latin1')
        const ours = parseHead(head, method)
        if (ours === undefined) return
        taken += 1
        const body = 'hello'.slice(0, ours.bodyBytes).padEnd(ours.bodyBytes, '.')
        const theirs = await nodeReads(Buffer.concat([head, Buffer.from(`\r\n\r\n${body}`, 'latin1')]), method)
        if (theirs === 'refused')
          assert.fail(`node refuses what the lane takes: ${JSON.stringify(head.toString('latin1'))}`)
        assert.equal(ours.status, theirs.status)
        assert.equal(theirs.body, body)
        assert.equal(ours.headers['content-length'], theirs.headers['content-length'])
        for (const one of ['etag', 'x-y', 'docker-content-digest']) {
          if (ours.headers[one] !== undefined && !ours.headers[one].includes(', '))
            assert.equal(ours.headers[one], theirs.headers[one])
        }
      },
    ),
    { numRuns: 1_500 },
  )
  assert.ok(taken > 100, `${taken} heads were taken; the test would show little`)
})

describe('over sockets', () => {
  let lane: Lane
  let server: Awaited<ReturnType<typeof rawServer>>
  const start = async (answer: (socket: Socket, nth: number) => void, maxConnections = 4) => {
    server = await rawServer(answer)
    lane = createLane(
      { host: '127.0.0.1', port: server.port, tls: undefined, connectTimeoutMs: 10_000 },
      { maxConnections, idleTimeoutMs: 30_000 },
    )
  }
  afterEach(() => {
    lane.close()
    server.close()
  })

  test('an answer that is cut into pieces at any byte comes whole', async () => {
    let cut = 0
    await start((socket) => {
      const bytes = Buffer.from(OK)
      socket.write(bytes.subarray(0, cut))
      setTimeout(() => socket.write(bytes.subarray(cut)), 3)
    })
    for (cut = 1; cut < OK.length; cut++) {
      assert.deepEqual(await through(lane), { status: 200, body: Buffer.from('hello'), cut: false })
    }
    assert.equal(server.connections(), 1, 'one connection carries all of them')
  })

  test('an answer that ends at any byte before its end is never passed on as whole', { timeout: 25_000 }, async () => {
    let cut = 0
    await start((socket) => socket.end(OK.slice(0, cut)))
    for (cut = 0; cut < OK.length; cut++) {
      const got = await through(lane)
      if (cut < OK.length - 5) assert.equal(got, 'lost')
      else assert.equal(typeof got === 'object' && got.cut, true, `cut at ${cut}: ${JSON.stringify(got)}`)
    }
  })

  test('a head that ends one slab and begins the next is read like any other', async () => {
    const body = Buffer.alloc(1_009, 'x')
    await start((socket) =>
      socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`), body])),
    )
    for (let sum = 0; sum < 3 * SLAB_BYTES; sum += body.length) {
      assert.deepEqual(await through(lane), { status: 200, body, cut: false })
    }
    assert.equal(server.connections(), 1)
  })

  test('bytes after the announced length end the connection and reach nobody', async () => {
    await start((socket) => socket.write(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`))
    assert.deepEqual(await through(lane), { status: 200, body: Buffer.from('hello'), cut: false })
    assert.deepEqual(await through(lane), { status: 200, body: Buffer.from('hello'), cut: false })
    assert.equal(server.connections(), 2)
  })

  test('bytes that come while nothing is asked end the connection', async () => {
    await start((socket) => {
      socket.write(OK)
      setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'), 20)
    })
    await through(lane)
    await sleep(60)
    assert.deepEqual(await through(lane), { status: 200, body: Buffer.from('hello'), cut: false })
    assert.equal(server.connections(), 2)
  })

  test('a large body comes whole to a caller that reads slowly, and little of it is held meanwhile', {
    timeout: 25_000,
  }, async () => {
    const body = Buffer.alloc(40_000_000, 'regcredd')
    let sent = 0
    await start((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
      const pump = () => {
        while (sent < body.length && socket.write(body.subarray(sent, sent + 65_536))) sent += 65_536
        if (sent < body.length) {
          sent += 65_536
          socket.once('drain', pump)
        }
      }
      pump()
    })
    const http = createHttpServer((_request, response) => {
      void lane.send({ method: 'GET', path: '/', headers, answerTimeoutMs: 10_000 }, never).then((taken) => {
        response.writeHead(200, { 'content-length': body.length })
        if (typeof taken === 'object') void taken.body.stream(response, 60_000)
      })
    })
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const request = httpRequest({ host: '127.0.0.1', port: (http.address() as AddressInfo).port, agent: false })
    request.end()
    const [answer] = await once(request, 'response')
    answer.pause()
    await sleep(300)
    assert.ok(sent < 20_000_000, `${sent} bytes were taken although the caller reads nothing`)
    let got = 0
    for await (const piece of answer) got += piece.length
    assert.equal(got, body.length)
    http.close()
  })

  test('a caller that leaves ends the registry’s connection', async () => {
    let closed = false
    await start((socket) => {
      socket.on('close', () => {
        closed = true
      })
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin')
    })
    const outcome = Promise.withResolvers<unknown>()
    const http = createHttpServer((_request, response) => {
      void lane.send({ method: 'GET', path: '/', headers, answerTimeoutMs: 10_000 }, never).then((taken) => {
        response.writeHead(200, { 'content-length': 1_000_000 })
        outcome.resolve(typeof taken === 'object' && taken.body.stream(response, 60_000))
      })
    })
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const request = httpRequest({ host: '127.0.0.1', port: (http.address() as AddressInfo).port, agent: false })
    request.on('error', () => undefined)
    request.end()
    const [answer] = await once(request, 'response')
    await once(answer, 'data')
    request.destroy()
    assert.partialDeepStrictEqual(await outcome.promise, { complete: false, brokenBy: 'caller' })
    await eventually('its connection is closed', () => closed)
    http.close()
  })

  test('no more connections stand than are allowed, and who waits is served in turn', async () => {
    await start((socket) => setTimeout(() => socket.write(OK), 10), 2)
    const all = await Promise.all(Array.from({ length: 9 }, () => through(lane)))
    assert.ok(all.every((got) => typeof got === 'object' && got.body.toString() === 'hello'))
    assert.equal(server.connections(), 2)
  })

  test('silence ends in UPSTREAM_TIMEOUT, and the next request has its place', async () => {
    let isSilent = true
    await start((socket) => isSilent || socket.write(OK), 1)
    const asked = lane.send({ method: 'GET', path: '/', headers, answerTimeoutMs: 50 }, never)
    await assert.rejects(asked, (thrown) => thrown instanceof RegcreddError && thrown.code === 'UPSTREAM_TIMEOUT')
    isSilent = false
    assert.equal(typeof (await through(lane)), 'object')
  })

  test('a header that could end its line early is not sent by the lane', async () => {
    await start((socket) => socket.write(OK))
    for (const bad of [{ 'user-agent': 'a\r\nx: y' }, { 'x\r\ny': 'a' }]) {
      assert.equal(
        await lane.send({ method: 'GET', path: '/', headers: bad as never, answerTimeoutMs: 50 }, never),
        'refused',
      )
    }
    assert.equal(await lane.send({ method: 'GET', path: '/a b', headers, answerTimeoutMs: 50 }, never), 'refused')
    assert.equal(server.connections(), 0)
  })
})
