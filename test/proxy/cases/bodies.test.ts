import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { eventually } from '../../helpers/eventually.ts'
import { digestOf } from '../../helpers/fake-registry.ts'
import { listed, startTestProxy } from '../../helpers/proxy.ts'
import { settled } from '../../helpers/settled.ts'
import { BLOB, codeOf, LOOPBACK, MANIFEST, NAME, raw, start, startRawServer } from './kit.ts'

for (const framing of ['with a length', 'in chunks'] as const) {
  test(`case 38: a body ${framing} that the registry cuts resets the caller, and a Range goes on from there`, async (t) => {
    const { registry, proxy, blob, blobPath } = await start(t, { auth: 'bearer' })
    registry.script = (request, response) => {
      if (request.headers.range !== undefined || !request.url?.includes('/blobs/')) return false
      if (request.headers.authorization === undefined) return false
      response.writeHead(200, framing === 'in chunks' ? {} : { 'content-length': BLOB.length })
      response.write(BLOB.subarray(0, 100_000), () => response.destroy())
      return true
    }
    const got = await proxy.get(blobPath)
    assert.equal(got.cut, true)
    await eventually('the exchange settles', () => proxy.ended.length === 1)
    const { outcome } = proxy.ended[0] ?? assert.fail()
    assert.deepEqual([outcome.complete, outcome.code], [false, 'UPSTREAM_UNREACHABLE'])
    const rest = await proxy.get(blobPath, { headers: { range: `bytes=${got.body.length}-` } })
    assert.equal(rest.status, 206)
    assert.equal(digestOf(Buffer.concat([got.body, rest.body])), blob)
  })
}

test('case 38: a caller of HTTP/1.0, to whom the end of the connection is the end of the body, gets a reset when it is cut', async (t) => {
  const { registry, proxy, blobPath } = await start(t, { auth: 'none' })
  registry.script = (_request, response) => {
    response.writeHead(200, {})
    response.write(BLOB.subarray(0, 1_000), () => setTimeout(() => response.destroy(), 100))
    return true
  }
  const { ended } = await raw(proxy.port, `GET ${blobPath} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n`)
  assert.equal(ended, 'reset')
})

test('case 38: a registry that goes silent in mid-body resets the caller after the limit', async (t) => {
  const limits = { connectTimeoutMs: 10_000, answerTimeoutMs: 600, idleTimeoutMs: 30_000, maxConnections: 4 }
  const { registry, proxy, blobPath } = await start(t, { auth: 'none' }, { limits })
  registry.script = (_request, response) => {
    response.writeHead(200, { 'content-length': BLOB.length })
    response.write(BLOB.subarray(0, 1_000))
    return true
  }
  assert.equal((await proxy.get(blobPath)).cut, true)
})

test('case 38: a slow caller stops the registry, so that memory stays bounded, and then gets every byte', async (t) => {
  const size = 64 * 1024 * 1024
  const piece = Buffer.alloc(64 * 1024, 'x')
  const { registry, proxy, blobPath } = await start(t, { auth: 'none' })
  let given = 0
  registry.script = async (_request, response) => {
    response.writeHead(200, { 'content-length': size })
    while (given < size && !response.destroyed) {
      given += piece.length
      if (!response.write(piece)) await once(response, 'drain')
    }
    response.end()
    return true
  }
  const request = httpRequest({ host: '127.0.0.1', port: proxy.port, path: blobPath, agent: false })
  request.end()
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  await settled('what the registry has given', () => given)
  // Buffers of the kernel at both connections, and little in between.
  assert.ok(given < size / 3, `${given} bytes on their way`)
  let got = 0
  for await (const part of answer) got += (part as Buffer).length
  assert.equal(got, size)
})

for (const framing of ['with a length', 'in chunks'] as const) {
  test(`a caller that leaves in mid-blob, ${framing}, ends the request at the registry, which is not blamed`, async (t) => {
    const { registry, proxy, blobPath } = await start(t, { auth: 'basic' })
    let isOver = false
    registry.script = (request, response) => {
      if (request.headers.authorization === undefined) return false
      response.writeHead(200, framing === 'in chunks' ? {} : { 'content-length': 1_000_000_000 })
      response.write(BLOB)
      response.on('close', () => {
        isOver = true
      })
      return true
    }
    const request = httpRequest({ host: '127.0.0.1', port: proxy.port, path: blobPath, agent: false })
    request.on('error', () => undefined)
    request.end()
    const [answer] = (await once(request, 'response')) as [IncomingMessage]
    await once(answer, 'data')
    request.destroy()
    await eventually('the request at the registry ends', () => isOver)
    await eventually('the exchange settles', () => proxy.ended.length === 1)
    const { complete, code } = proxy.ended[0]?.outcome ?? assert.fail()
    assert.deepEqual([complete, code], [false, undefined])
  })
}

test('a compressed body comes as it is, with its headers', async (t) => {
  const { registry, proxy, blobPath } = await start(t, { auth: 'none' })
  const content = gzipSync(BLOB)
  registry.script = (request, response) => {
    const encoding = request.headers['accept-encoding'] === 'gzip' ? { 'content-encoding': 'gzip' } : {}
    response.writeHead(200, { ...encoding, 'content-length': content.length }).end(content)
    return true
  }
  const got = await proxy.get(blobPath, { headers: { 'accept-encoding': 'gzip' } })
  assert.deepEqual([got.headers['content-encoding'], got.body], ['gzip', content])
  const plain = await proxy.get(blobPath)
  assert.equal(plain.headers['content-encoding'], undefined)
  assert.equal(registry.requests.at(-1)?.headers['accept-encoding'], undefined)
})

test('a manifest in chunks comes as it is, to callers of HTTP/1.1 and 1.0', async (t) => {
  const { registry, proxy, digest } = await start(t, { auth: 'none' })
  const text = JSON.stringify({ schemaVersion: 2, layers: [] })
  registry.script = (_request, response) => {
    response.writeHead(200, { 'docker-content-digest': digest })
    response.write(text.slice(0, 5))
    response.end(text.slice(5))
    return true
  }
  assert.equal((await proxy.get(MANIFEST)).body.toString(), text)
  const { answer, ended } = await raw(proxy.port, `GET ${MANIFEST} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n`)
  assert.equal(answer.split('\r\n\r\n')[1], text)
  assert.equal(ended, 'closed')
  assert.doesNotMatch(answer, /transfer-encoding/i)
})

test('HEAD keeps length, type and digest of the registry, so that containerd need not ask twice', async (t) => {
  const { registry, proxy, digest } = await start(t, { auth: 'bearer' })
  const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json;q=0.5'
  const got = await proxy.get(MANIFEST, { method: 'HEAD', headers: { accept } })
  assert.deepEqual(
    [
      got.status,
      got.headers['docker-content-digest'],
      got.headers['content-type'],
      Number(got.headers['content-length']) > 0,
    ],
    [200, digest, 'application/vnd.oci.image.manifest.v1+json', true],
  )
  assert.equal(registry.requests.at(-1)?.headers.accept, accept)
})

test('what is between registry and proxy stays there, and what the caller needs comes through', async (t) => {
  const { registry, proxy } = await start(t, { auth: 'none' })
  registry.script = (_request, response) => {
    const kept = {
      etag: '"x"',
      'cache-control': 'max-age=1',
      warning: '299 - "old"',
      'oci-filters-applied': 'artifactType',
    }
    response.writeHead(200, {
      ...kept,
      'ratelimit-limit': '100;w=21600',
      'set-cookie': 'a=b',
      'alt-svc': 'h3=":443"',
      'strict-transport-security': 'max-age=1',
      'www-authenticate': 'Basic realm="x"',
      'keep-alive': 'timeout=5',
      'content-length': 2,
    })
    response.end('{}')
    return true
  }
  const { headers } = await proxy.get(MANIFEST)
  assert.partialDeepStrictEqual(headers, {
    etag: '"x"',
    'cache-control': 'max-age=1',
    warning: '299 - "old"',
    'oci-filters-applied': 'artifactType',
    'ratelimit-limit': '100;w=21600',
    'oci-namespace': NAME,
  })
  for (const name of ['set-cookie', 'alt-svc', 'strict-transport-security', 'www-authenticate'])
    assert.equal(headers[name], undefined, name)
})

test('a refusal of ECR in plain text comes through as it is', async (t) => {
  const { registry, proxy } = await start(t, { auth: 'basic' })
  registry.script = (request, response) => {
    if (request.headers.authorization === undefined) return false
    response
      .writeHead(403, { 'content-type': 'text/plain', 'content-length': 34 })
      .end('Your authorization token has ended')
    return true
  }
  const got = await proxy.get(MANIFEST)
  assert.deepEqual([got.status, got.body.toString()], [403, 'Your authorization token has ended'])
  assert.deepEqual(proxy.breaker.held(), [])
})

test('If-None-Match goes up and a 304 comes down, with the tag and without a body', async (t) => {
  const { registry, proxy, digest } = await start(t, { auth: 'none' })
  registry.script = (request, response) => {
    if (request.headers['if-none-match'] !== `"${digest}"`) return false
    response.writeHead(304, { etag: `"${digest}"`, 'docker-content-digest': digest }).end()
    return true
  }
  const got = await proxy.get(MANIFEST, { headers: { 'if-none-match': `"${digest}"` } })
  assert.deepEqual([got.status, got.headers['etag'], got.body.length], [304, `"${digest}"`, 0])
  assert.equal(proxy.ended[0]?.outcome.complete, true)
})

test('docker-registry 2.8: a 416 that announces the whole blob comes without it, and the connection goes on', async (t) => {
  const { registry, proxy, blobPath } = await start(t, { auth: 'none' })
  registry.script = (request, response) => {
    if (request.headers.range === undefined) return false
    response.writeHead(416, { 'content-length': BLOB.length, 'content-range': `bytes */${BLOB.length}` })
    response.write('{"errors":[]}', () => response.destroy())
    return true
  }
  const { answer } = await raw(
    proxy.port,
    `GET ${blobPath} HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes=999999-\r\n\r\nGET ${MANIFEST} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`,
    (text) => text.includes('schemaVersion'),
  )
  assert.match(answer, /^HTTP\/1\.1 416 [\s\S]*content-range: bytes \*\/300000[\s\S]*HTTP\/1\.1 200 /i)
})

test('a 404 of the referrers API comes through as it is, and a 500 does not become one', async (t) => {
  const { registry, proxy, digest } = await start(t, { auth: 'none' })
  const path = `/v2/team/app/referrers/${digest}?ns=${NAME}`
  assert.equal((await proxy.get(path)).status, 404)
  registry.script = (_request, response) => {
    response.writeHead(500, { 'content-length': 0 }).end()
    return true
  }
  assert.equal((await proxy.get(path)).status, 500)
})

const HEAD_OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok'
const answers: [name: string, bytes: string, expected: number, code: string | undefined][] = [
  ['early hints before the answer', `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${HEAD_OK}`, 200, undefined],
  ['100 Continue before the answer', `HTTP/1.1 100 Continue\r\n\r\n${HEAD_OK}`, 200, undefined],
  ['an answer of HTTP/1.0 without a length', 'HTTP/1.0 200 OK\r\n\r\nok', 200, undefined],
  [
    '101 Switching Protocols',
    'HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n',
    502,
    'UPSTREAM_MALFORMED',
  ],
  ['no HTTP at all', 'SSH-2.0-OpenSSH_9.6\r\n', 502, 'UPSTREAM_MALFORMED'],
  [
    'two lengths that differ',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nok',
    502,
    'UPSTREAM_MALFORMED',
  ],
  [
    'a length and chunks',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    502,
    'UPSTREAM_MALFORMED',
  ],
  ['a head that never ends', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(200_000)}`, 502, 'UPSTREAM_MALFORMED'],
  ['nothing', '', 502, 'UPSTREAM_UNREACHABLE'],
]
for (const [name, bytes, expected, code] of answers) {
  test(`a registry that sends ${name} is a ${expected}`, async (t) => {
    const server = await startRawServer(t, () => bytes)
    const proxy = await startTestProxy([listed(NAME, server.origin)])
    t.after(() => proxy.close(0))
    const got = await proxy.get(MANIFEST)
    assert.equal(got.status, expected)
    if (code === undefined) assert.equal(got.body.toString(), 'ok')
    else assert.equal(codeOf(got.body), code)
  })
}

test('kept connections that registry and store close just as they are used again cost no pull', async (t) => {
  let isClosing = false
  const keptOr = (bytes: string) => (_head: string, ofConnection: number) =>
    isClosing && ofConnection > 1 ? '' : bytes
  const store = await startRawServer(t, keptOr(HEAD_OK))
  const redirect = `HTTP/1.1 307 X\r\nLocation: ${store.origin.origin}/x\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n`
  const registry = await startRawServer(t, keptOr(redirect))
  const proxy = await startTestProxy([listed(NAME, registry.origin, { allowAddresses: LOOPBACK })])
  t.after(() => proxy.close(0))
  await Promise.all(Array.from({ length: 4 }, () => proxy.get(MANIFEST)))
  assert.ok(store.sockets.size > 1 && registry.sockets.size > 1)
  isClosing = true
  assert.equal((await proxy.get(MANIFEST)).status, 200)
})

test('a body that is reset on a kept connection is not asked for again behind the caller’s back', async (t) => {
  const { registry, proxy, blobPath } = await start(t, { auth: 'none' })
  let reset = () => {}
  registry.script = (request, response) => {
    response.writeHead(200, {})
    if (request.url?.includes('/manifests/')) response.end('{}')
    else response.write(BLOB.subarray(0, 1_000))
    reset = () => void request.socket.resetAndDestroy()
    return true
  }
  // By http-proxy, since it has no length; its connection is kept.
  for (let i = 0; i < 2; i++) assert.equal((await proxy.get(MANIFEST)).status, 200)
  const before = registry.requests.length
  assert.equal((await proxy.get(blobPath, { onBegun: () => reset() })).cut, true)
  await sleep(100)
  const asked = registry.requests.slice(before).map(({ url }) => url)
  // Once by the lane, which does not take it, and once by http-proxy.
  assert.equal(asked.length, 2, asked.join())
})
