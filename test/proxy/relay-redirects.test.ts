import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { Registry } from '../../src/config/config.ts'
import { createBlobSizes, descriptorsOf } from '../../src/proxy/blob-sizes.ts'
import { Secret } from '../../src/secret.ts'
import { digestOf, startFakeRegistry } from '../helpers/fake-registry.ts'
import { listed, startTestProxy } from '../helpers/proxy.ts'
import { BLOB, codeOf, LOOPBACK, MANIFEST, NAME, start } from './cases/kit.ts'

/** A store on 127.0.0.2, which to every client is another host than the proxy's 127.0.0.1. */
async function startStore(t: TestContext) {
  const requests: { method: string | undefined; headers: Record<string, unknown> }[] = []
  const server = createServer((request, response) => {
    requests.push({ method: request.method, headers: request.headers })
    response.writeHead(200, { 'content-length': BLOB.length }).end(request.method === 'HEAD' ? undefined : BLOB)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.2', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  return { requests, port, origin: `http://127.0.0.2:${port}` }
}

async function relaying(t: TestContext, auth: 'basic' | 'bearer' = 'basic', more: Partial<Registry> = {}) {
  const store = await startStore(t)
  const rig = await start(t, { auth }, { redirects: 'relay', ...more })
  const signed = `${store.origin}/bucket/${rig.blob}?X-Amz-Signature=planted&X=%2F%20`
  const redirectTo = (location: string, status = 307) => {
    rig.registry.script = (request, response) => {
      if (!request.url?.includes('/blobs/') || request.headers.authorization === undefined) return false
      const headers = { location, 'docker-content-digest': rig.blob, 'content-length': 0 }
      response.writeHead(status, { ...headers, 'set-cookie': 'session=planted', 'www-authenticate': 'Basic' }).end()
      return true
    }
  }
  redirectTo(signed)
  return { ...rig, store, signed, redirectTo }
}

for (const auth of ['basic', 'bearer'] as const) {
  for (const status of [301, 302, 303, 307, 308]) {
    test(`a blob that a registry of ${auth} redirects with ${status} is a 307 to the store, with nothing of ours`, async (t) => {
      const { proxy, blob, blobPath, store, signed, redirectTo } = await relaying(t, auth)
      redirectTo(signed, status)
      const got = await proxy.get(blobPath)
      const {
        'regcredd-request-id': _id,
        date: _date,
        connection: _connection,
        'keep-alive': _alive,
        ...rest
      } = got.headers
      assert.deepEqual(
        [got.status, rest, got.body.length],
        [
          307,
          {
            location: signed,
            'content-length': '0',
            'cache-control': 'no-store',
            'docker-content-digest': blob,
            'docker-distribution-api-version': 'registry/2.0',
            'oci-namespace': NAME,
          },
          0,
        ],
      )
      assert.equal(store.requests.length, 0)
    })
  }
}

test('a relayed blob is recorded as redirected, with the size that its manifest told, and without the signed URL', async (t) => {
  const { registry, proxy, blob, blobPath } = await relaying(t)
  await proxy.get(blobPath)
  registry.addManifest('team/app', '2', { schemaVersion: 2, layers: [{ digest: blob, size: BLOB.length }] })
  assert.equal((await proxy.get(MANIFEST.replace('/1?', '/2?'))).status, 200)
  await proxy.get(blobPath)
  const outcomes = proxy.ended.map(({ exchange, outcome }) => [exchange.pull?.kind, outcome.redirected, outcome.bytes])
  assert.deepEqual(
    [outcomes[0], outcomes[2]],
    [
      ['blob', { sizeBytes: undefined }, 0],
      ['blob', { sizeBytes: BLOB.length }, 0],
    ],
  )
  assert.equal(outcomes[1]?.[1], undefined)
  assert.doesNotMatch(JSON.stringify(proxy.ended.map(({ outcome }) => outcome)), /planted/)
  assert.equal(proxy.ended[2]?.exchange.upstream, registry.origin.origin)
})

test('a manifest, a HEAD and a redirect at the registry itself are followed where blobs are relayed', async (t) => {
  const { registry, proxy, blob, blobPath, store, signed } = await relaying(t)
  assert.deepEqual((await proxy.get(blobPath, { method: 'HEAD' })).headers['content-length'], String(BLOB.length))
  assert.deepEqual(
    store.requests.map(({ method }) => method),
    ['HEAD'],
  )
  registry.script = (request, response) => {
    if (!request.url?.includes('/manifests/') || request.headers.authorization === undefined) return false
    response.writeHead(307, { location: signed, 'content-length': 0 }).end()
    return true
  }
  assert.equal((await proxy.get(MANIFEST)).status, 200)
  registry.script = (request, response) => {
    if (!request.url?.endsWith(blob) || request.headers.authorization === undefined) return false
    response.writeHead(302, { location: `${request.url}?part=1`, 'content-length': 0 }).end()
    return true
  }
  const got = await proxy.get(blobPath)
  assert.deepEqual([got.status, digestOf(got.body)], [200, blob])
})

test('a caller whose token stands in our own header is never sent on, since clients take such a header along', async (t) => {
  const store = await startStore(t)
  const registry = await startFakeRegistry({ auth: 'none' })
  t.after(() => registry.close())
  registry.script = (_request, response) => {
    response.writeHead(307, { location: `${store.origin}/x`, 'content-length': 0 }).end()
    return true
  }
  const token = new Secret('the caller token')
  const entry = listed(NAME, registry.origin, { redirects: 'relay', allowAddresses: LOOPBACK })
  const proxy = await startTestProxy([entry], { mode: 'token', token })
  t.after(() => proxy.close(0))
  const path = `/v2/team/app/blobs/sha256:${'a'.repeat(64)}?ns=${NAME}`
  const basic = `Basic ${Buffer.from('node:the caller token').toString('base64')}`
  const followed = await proxy.get(path, { headers: { 'regcredd-token': 'the caller token' } })
  assert.deepEqual([followed.status, digestOf(followed.body)], [200, digestOf(BLOB)])
  const both = await proxy.get(path, { headers: { 'regcredd-token': 'the caller token', authorization: basic } })
  assert.equal(both.status, 200)
  assert.deepEqual(
    store.requests.map(({ headers }) => headers['regcredd-token'] ?? headers['authorization']),
    [undefined, undefined],
  )
  assert.equal((await proxy.get(path, { headers: { authorization: basic } })).status, 307)
})

test('a store on the very host that the client asks, or below it, is followed: there the client would show what it shows us', async (t) => {
  const { registry, proxy, blobPath, store, redirectTo } = await relaying(t)
  registry.addBlob(BLOB)
  redirectTo(`http://127.0.0.1:${registry.port}/elsewhere`.replace('127.0.0.1', 'localhost'))
  // Named as the client names us, and as a part of it.
  for (const host of ['localhost', 'LOCALHOST:5050']) {
    const got = await proxy.get(blobPath, { headers: { host } })
    assert.notEqual(got.status, 307, host)
  }
  redirectTo(`http://store.localhost:${store.port}/x`)
  assert.notEqual((await proxy.get(blobPath, { headers: { host: 'localhost' } })).status, 307)
  redirectTo(`${store.origin}/x`)
  assert.equal((await proxy.get(blobPath, { headers: { host: 'localhost' } })).status, 307)
})

const refused: [name: string, location: string, code: string][] = [
  ['a file', 'file:///etc/passwd', 'REDIRECT_REFUSED'],
  ['a user in the URL', 'http://u:planted@127.0.0.2/x', 'REDIRECT_REFUSED'],
  ['a private address', 'http://127.0.0.2/planted', 'REDIRECT_REFUSED'],
  ['the metadata service', 'http://169.254.169.254/planted', 'REDIRECT_REFUSED'],
  ['an address as a number', 'http://2130706434/planted', 'REDIRECT_REFUSED'],
  ['a name that leads to a private address', 'http://localhost/planted', 'ADDRESS_REFUSED'],
  ['a name that nobody knows', 'http://nobody.invalid/planted', 'UPSTREAM_UNREACHABLE'],
  ['an empty Location', '', 'REDIRECT_REFUSED'],
  ['a line end', 'http://127.0.0.2/x%0d%0aset-cookie:planted', 'REDIRECT_REFUSED'],
]
for (const [name, location, code] of refused) {
  test(`a relayed redirect to ${name} is a 502 ${code} without a Location`, async (t) => {
    const { proxy, blobPath, redirectTo } = await relaying(t, 'basic', { allowAddresses: [] })
    redirectTo(location)
    const got = await proxy.get(blobPath)
    assert.deepEqual([got.status, codeOf(got.body), got.headers.location], [502, code, undefined])
    assert.doesNotMatch(got.body.toString() + JSON.stringify(got.headers), /planted/)
  })
}

test('whatever a registry writes into Location, the client is told of an allowed http(s) URL without user, or of nothing', async (t) => {
  const { proxy, blobPath, redirectTo } = await relaying(t, 'basic', { allowAddresses: ['127.0.0.2/32'] })
  const part = fc.constantFrom(
    ...[
      'http:',
      'https:',
      'file:',
      '//',
      '/',
      '\\',
      '127.0.0.2',
      '127.0.0.3',
      '169.254.169.254',
      '[::1]',
      '[::ffff:7f00:2]',
      '@',
      'u:p@',
    ],
    ...[
      '?X=1',
      '#f',
      ':80',
      ':99999',
      '%0d%0a',
      '%00',
      '..',
      ' ',
      '\t',
      '2130706434',
      '0x7f.2',
      'é',
      '..%2f',
      'http',
      ':',
    ],
  )
  // Half of them are well-formed, so that each part of a URL is looked at.
  const wellFormed = fc
    .tuple(
      fc.constantFrom('http:', 'https:'),
      fc.constantFrom('', 'u@', 'u:p@', ':p@'),
      fc.constantFrom('127.0.0.2', '127.0.0.3', '2130706434', '[::ffff:127.0.0.2]', '[::1]'),
      fc.constantFrom('', ':80', ':5000'),
      fc.constantFrom('/x', '/x?X=1', '/x#f'),
    )
    .map(([scheme, user, host, port, rest]) => `${scheme}//${user}${host}${port}${rest}`)
  const location = fc.oneof(
    wellFormed,
    fc.array(part, { maxLength: 7 }).map((parts) => parts.join('')),
  )
  await fc.assert(
    fc.asyncProperty(location, async (text) => {
      redirectTo(encodeLatin1(text))
      const got = await proxy.get(blobPath)
      const told = got.headers.location
      if (told === undefined) return assert.notEqual(got.status, 307)
      const url = new URL(told)
      assert.equal(got.status, 307)
      assert.match(url.protocol, /^https?:$/)
      assert.deepEqual([url.username, url.password, url.hash], ['', '', ''])
      assert.match(url.hostname, /^(?:127\.0\.0\.2|\[::ffff:7f00:2\])$/)
    }),
    { numRuns: 150 },
  )
})

/** What node lets a server send in a header. */
function encodeLatin1(text: string): string {
  return text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '')
}

test('sizes are taken from config, layers and blobs of a manifest, from each registry for itself, and from nothing else', () => {
  const digest = digestOf(BLOB)
  const sizes = createBlobSizes()
  const read = (registry: string, text: string) => {
    const reader = sizes.reader(registry)
    for (let at = 0; at < text.length; at += 7) reader.onPiece(Buffer.from(text.slice(at, at + 7)))
    reader.read()
  }
  read('a', JSON.stringify({ config: { digest, size: 3 } }))
  assert.deepEqual([sizes.sizeOf('a', digest), sizes.sizeOf('b', digest)], [3, undefined])
  const one = (more: object) => descriptorsOf(Buffer.from(JSON.stringify(more)))
  assert.deepEqual(
    one({
      layers: [
        { digest, size: 4 },
        { digest, size: -1 },
        { digest, size: 1.5 },
        { digest: 'x', size: 1 },
      ],
    }),
    [{ digest, size: 4 }],
  )
  assert.deepEqual(one({ blobs: [{ digest, size: 5 }, null, 'x', { size: 1 }] }), [{ digest, size: 5 }])
  assert.deepEqual(one({ manifests: [{ digest, size: 6 }], layers: 'x', config: 7 }), [])
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => Array.isArray(descriptorsOf(Buffer.from(text)))))
})

test('a manifest that is longer than any may be is not kept, and neither is part of it', () => {
  const sizes = createBlobSizes()
  const reader = sizes.reader('a')
  const digest = digestOf(BLOB)
  for (let i = 0; i < 5; i++) reader.onPiece(Buffer.alloc(1024 * 1024, ' '))
  reader.onPiece(Buffer.from(JSON.stringify({ config: { digest, size: 3 } })))
  reader.read()
  assert.equal(sizes.sizeOf('a', digest), undefined)
})
