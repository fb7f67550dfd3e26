import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { after, before, beforeEach, describe, test } from 'node:test'
import { RegcreddError } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import { eventually } from '../helpers/eventually.ts'
import { digestOf, type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { listed, startTestProxy, type TestProxy } from '../helpers/proxy.ts'

const NAME = 'registry.corp.example'
const LOOPBACK = ['127.0.0.0/8']
const BLOB = Buffer.alloc(300_000, 'regcredd')

const codeOf = (body: Buffer): string => JSON.parse(body.toString()).errors[0].detail.code

for (const auth of ['basic', 'bearer'] as const) {
  describe(`against a registry that asks for ${auth}`, () => {
    let registry: FakeRegistry
    let proxy: TestProxy
    let digest: string
    let blob: string
    before(async () => {
      registry = await startFakeRegistry({ auth })
      blob = registry.addBlob(BLOB)
      digest = registry.addManifest('team/app', '1', { schemaVersion: 2, layers: [{ digest: blob }] })
      registry.addManifest('secret/app', '1', { schemaVersion: 2 })
    })
    beforeEach(async () => {
      await proxy?.close(0)
      registry.requests.length = 0
      registry.script = undefined
      registry.setPassword('right')
      const { origin } = registry
      proxy = await startTestProxy([
        listed(NAME, origin, { repositories: ['team/*'] }),
        listed('needs.example', origin, { credential: 'required' }),
      ])
      proxy.setCredential(NAME, { current: 'right' })
    })
    after(async () => {
      await proxy.close(0)
      await registry.close()
    })

    test('a manifest comes by tag and by digest, by ns and by prefix, with its digest', async () => {
      for (const path of [`/v2/team/app/manifests/1?ns=${NAME}`, `/v2/${NAME}/team/app/manifests/${digest}`]) {
        const got = await proxy.get(path)
        assert.equal(got.status, 200)
        assert.equal(got.headers['docker-content-digest'], digest)
        assert.equal(digestOf(got.body), digest)
      }
      assert.equal(proxy.ended.at(-1)?.outcome.digest, digest)
    })

    test('HEAD gives length and digest, Range a 206', async () => {
      const head = await proxy.get(`/v2/team/app/blobs/${blob}?ns=${NAME}`, { method: 'HEAD' })
      assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, String(BLOB.length), 0])
      const part = await proxy.get(`/v2/team/app/blobs/${blob}?ns=${NAME}`, { headers: { range: 'bytes=10-19' } })
      assert.deepEqual([part.status, part.headers['content-range']], [206, `bytes 10-19/${BLOB.length}`])
      assert.deepEqual(part.body, BLOB.subarray(10, 20))
    })

    test('the second pull of a repository asks the registry once', async () => {
      await proxy.get(`/v2/team/app/manifests/1?ns=${NAME}`)
      registry.requests.length = 0
      await proxy.get(`/v2/team/app/manifests/1?ns=${NAME}`)
      assert.equal(registry.requests.length, 1)
    })

    test('a wrong password ends in 403 without a challenge, after one try', async () => {
      proxy.setCredential(NAME, { current: 'wrong' })
      const got = await proxy.get(`/v2/team/app/manifests/1?ns=${NAME}`)
      assert.deepEqual([got.status, codeOf(got.body)], [403, 'CREDENTIAL_REJECTED'])
      assert.equal(got.headers['www-authenticate'], undefined)
      const logins = registry.requests.filter(({ headers }) => headers.authorization !== undefined)
      assert.equal(logins.length, 1)
    })

    test('while a rotation is staged, a pull that CURRENT no longer opens is served with PENDING', async () => {
      registry.setPassword('new')
      proxy.setCredential(NAME, { current: 'right', pending: 'new' })
      const first = await proxy.get(`/v2/team/app/manifests/1?ns=${NAME}`)
      assert.equal(first.status, 200)
      assert.match(proxy.ended[0]?.exchange.version ?? '', /^v\d*1$/)
      registry.requests.length = 0
      assert.equal((await proxy.get(`/v2/team/app/blobs/${blob}?ns=${NAME}`)).status, 200)
      assert.equal(registry.requests.length, 1, 'the version that won is tried first from then on')
    })

    test('case 3: an unlisted registry or repository is a 404, and nothing is sent', async () => {
      for (const [path, code] of [
        ['/v2/team/app/manifests/1?ns=169.254.169.254', 'REGISTRY_UNLISTED'],
        [`/v2/secret/app/manifests/1?ns=${NAME}`, 'REPOSITORY_UNLISTED'],
        ['/v2/team/app/manifests/1', 'REGISTRY_UNLISTED'],
      ] as const) {
        const got = await proxy.get(path)
        assert.deepEqual([got.status, codeOf(got.body)], [404, code])
      }
      assert.equal(registry.requests.length, 0)
      assert.equal(proxy.begun.length, 0)
    })

    test('a registry that requires a credential and has none is a 503, and nothing is sent', async () => {
      const got = await proxy.get('/v2/team/app/manifests/1?ns=needs.example')
      assert.deepEqual([got.status, codeOf(got.body)], [503, 'CREDENTIAL_MISSING'])
      assert.equal(registry.requests.length, 0)
    })

    test('a keychain that cannot be read is a 503, never an anonymous pull', async () => {
      proxy.failLend = new RegcreddError('KEYCHAIN_LOCKED')
      const got = await proxy.get(`/v2/team/app/manifests/1?ns=${NAME}`)
      assert.deepEqual([got.status, codeOf(got.body)], [503, 'KEYCHAIN_LOCKED'])
      assert.equal(registry.requests.length, 0)
    })

    test('nothing is sent before the audit has its record', async () => {
      proxy.failBegin = new RegcreddError('AUDIT_UNAVAILABLE')
      const got = await proxy.get(`/v2/team/app/manifests/1?ns=${NAME}`)
      assert.deepEqual([got.status, codeOf(got.body)], [503, 'AUDIT_UNAVAILABLE'])
      assert.equal(registry.requests.length, 0)
    })

    test('case 17: the caller’s own Authorization never reaches the registry', async () => {
      await proxy.get(`/v2/team/app/manifests/1?ns=${NAME}`, {
        headers: { authorization: 'Basic cG9kOnBvZC1zZWNyZXQ=' },
      })
      const sent = registry.requests.flatMap(({ headers }) => headers.authorization ?? [])
      assert.ok(sent.length > 0)
      assert.ok(!sent.includes('Basic cG9kOnBvZC1zZWNyZXQ='))
    })

    test('case 38: a body that the registry cuts resets the caller, and a Range goes on from there', async () => {
      registry.script = (request, response) => {
        if (
          request.headers.range !== undefined ||
          !request.url?.includes('/blobs/') ||
          request.headers.authorization === undefined
        )
          return false
        response.writeHead(200, { 'content-length': BLOB.length })
        response.write(BLOB.subarray(0, 100_000), () => response.destroy())
        return true
      }
      const got = await proxy.get(`/v2/team/app/blobs/${blob}?ns=${NAME}`)
      assert.equal(got.cut, true)
      await eventually('the exchange settles', () => proxy.ended.length === 1)
      const { outcome } = proxy.ended[0] ?? assert.fail()
      assert.deepEqual([outcome.complete, outcome.code], [false, 'UPSTREAM_UNREACHABLE'])
      const rest = await proxy.get(`/v2/team/app/blobs/${blob}?ns=${NAME}`, {
        headers: { range: `bytes=${got.body.length}-` },
      })
      assert.equal(digestOf(Buffer.concat([got.body, rest.body])), blob)
    })

    test('a caller that leaves in mid-blob ends the registry’s stream', async () => {
      let upstreamClosed = false
      registry.script = (request, response) => {
        if (!request.url?.includes('/blobs/') || request.headers.authorization === undefined) return false
        response.writeHead(200, { 'content-length': 1_000_000_000 })
        response.write(BLOB)
        response.on('close', () => {
          upstreamClosed = true
        })
        return true
      }
      const request = httpRequest({
        host: '127.0.0.1',
        port: proxy.port,
        path: `/v2/team/app/blobs/${blob}?ns=${NAME}`,
        agent: false,
      })
      request.on('error', () => undefined)
      request.end()
      const [answer] = await once(request, 'response')
      await once(answer, 'data')
      request.destroy()
      await eventually('the upstream request ends', () => upstreamClosed)
      await eventually('the exchange settles', () => proxy.ended.length === 1)
      assert.equal(proxy.ended[0]?.outcome.complete, false)
    })
  })
}

describe('redirects', () => {
  let registry: FakeRegistry
  let store: FakeRegistry
  let proxy: TestProxy
  let blob: string
  before(async () => {
    registry = await startFakeRegistry({ auth: 'basic', password: 'right' })
    store = await startFakeRegistry({ auth: 'none' })
    blob = registry.addBlob(BLOB)
    store.addBlob(BLOB)
  })
  beforeEach(async () => {
    await proxy?.close(0)
    registry.requests.length = 0
    store.requests.length = 0
    proxy = await startTestProxy([
      listed(NAME, registry.origin, { allowAddresses: LOOPBACK }),
      listed('guarded.example', registry.origin),
    ])
    proxy.setCredential(NAME, { current: 'right' })
    proxy.setCredential('guarded.example', { current: 'right' })
  })
  after(async () => {
    await proxy.close(0)
    await Promise.all([registry.close(), store.close()])
  })
  const redirectTo = (location: (digest: string) => string) => {
    registry.script = (request, response) => {
      if (!request.url?.includes('/blobs/') || request.headers.authorization === undefined) return false
      response.writeHead(307, { location: location(blob), 'docker-content-digest': blob }).end()
      return true
    }
  }

  test('case 35: a store on another port is asked without Authorization, and the caller gets its bytes and never its address', async () => {
    redirectTo((digest) => `${store.origin.origin}/v2//x/blobs/${digest}?X-Signature=planted//`)
    const got = await proxy.get(`/v2/team/app/blobs/${blob}?ns=${NAME}`)
    assert.equal(digestOf(got.body), blob)
    assert.equal(store.requests[0]?.url, `/v2//x/blobs/${blob}?X-Signature=planted//`)
    assert.equal(store.requests[0]?.headers.authorization, undefined)
    assert.ok(!JSON.stringify(got.headers).includes('planted'))
  })

  test('case 37: a private address is refused unless it is listed, and gets no byte', async () => {
    redirectTo((digest) => `${store.origin.origin}/v2/x/blobs/${digest}`)
    const got = await proxy.get(`/v2/team/app/blobs/${blob}?ns=guarded.example`)
    assert.equal(got.status, 502)
    assert.equal(store.requests.length, 0)
  })

  test('case 37: a name that resolves to a private address is refused at connect time', async () => {
    redirectTo((digest) => `http://localhost:${store.port}/v2/x/blobs/${digest}`)
    const got = await proxy.get(`/v2/team/app/blobs/${blob}?ns=guarded.example`)
    assert.deepEqual([got.status, codeOf(got.body)], [502, 'ADDRESS_REFUSED'])
    assert.equal(store.requests.length, 0)
  })

  test('case 37: a redirect loop ends in 502', async () => {
    redirectTo((digest) => `/v2/team/app/blobs/${digest}`)
    const got = await proxy.get(`/v2/team/app/blobs/${blob}?ns=${NAME}`)
    assert.deepEqual([got.status, codeOf(got.body)], [502, 'REDIRECT_REFUSED'])
  })
})

describe('callers', () => {
  let registry: FakeRegistry
  let proxy: TestProxy
  before(async () => {
    registry = await startFakeRegistry({ auth: 'none' })
    registry.addManifest('team/app', '1', { schemaVersion: 2 })
    proxy = await startTestProxy([listed(NAME, registry.origin)], {
      mode: 'token',
      token: new Secret('caller-token-of-thirty-two-bytes-x'),
    })
  })
  after(async () => {
    await proxy.close(0)
    await registry.close()
  })
  const basic = (token: string) => `Basic ${Buffer.from(`any:${token}`).toString('base64')}`

  test('a pull without the caller token, or with a wrong one, is refused with words, and nothing is sent', async () => {
    for (const headers of [
      {},
      { 'regcredd-token': 'wrong' },
      { authorization: basic('wrong') },
      { authorization: 'Bearer caller-token-of-thirty-two-bytes-x' },
    ]) {
      const got = await proxy.get(`/v2/team/app/manifests/1?ns=${NAME}`, { headers })
      assert.deepEqual([got.status, codeOf(got.body)], [403, 'CALLER_REFUSED'])
      assert.equal(got.headers['www-authenticate'], undefined)
    }
    assert.equal(registry.requests.length, 0)
  })

  test('the token opens the proxy by its header, and as the password of Basic', async () => {
    for (const headers of [
      { 'regcredd-token': 'caller-token-of-thirty-two-bytes-x' },
      { authorization: basic('caller-token-of-thirty-two-bytes-x') },
    ]) {
      const got = await proxy.get(`/v2/team/app/manifests/1?ns=${NAME}`, { headers: headers as Record<string, string> })
      assert.equal(got.status, 200)
    }
  })

  test('only /v2/ challenges, so that podman and skopeo learn to show the token and containerd is never asked', async () => {
    const without = await proxy.get('/v2/')
    assert.deepEqual([without.status, without.headers['www-authenticate']], [401, 'Basic realm="regcredd"'])
    assert.equal(
      (await proxy.get('/v2/', { headers: { authorization: basic('caller-token-of-thirty-two-bytes-x') } })).status,
      200,
    )
  })
})

describe('the listener', () => {
  let proxy: TestProxy
  before(async () => {
    proxy = await startTestProxy([listed(NAME, new URL('http://127.0.0.1:1'))])
  })
  after(() => proxy.close(0))

  test('a port that is taken is told at the start', async () => {
    const { startProxy } = await import('../../src/proxy/listener.ts')
    await assert.rejects(
      startProxy({ host: '127.0.0.1', port: proxy.port }, { headersTimeoutMs: 1, maxConnections: 1 }, {} as never),
      (thrown) =>
        thrown instanceof RegcreddError &&
        thrown.code === 'LISTEN_FAILED' &&
        /another process listens there/.test(thrown.message),
    )
  })
})
