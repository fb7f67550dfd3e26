import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Registry } from '../../../src/config/config.ts'
import { digestOf, startFakeRegistry } from '../../helpers/fake-registry.ts'
import { BLOB, codeOf, LOOPBACK, start } from './kit.ts'

/** A registry whose blobs lie in a store on another port. */
async function withStore(t: TestContext, auth: 'basic' | 'bearer', more: Partial<Registry> = {}) {
  const store = await startFakeRegistry({ auth: 'none' })
  t.after(() => store.close())
  const digest = store.addBlob(BLOB)
  const rig = await start(t, { auth }, more)
  const redirectTo = (location: string, status = 307) => {
    rig.registry.script = (request, response) => {
      if (!request.url?.includes('/blobs/') || request.headers.authorization === undefined) return false
      response.writeHead(status, { location, 'docker-content-digest': digest, 'content-length': 0 }).end()
      return true
    }
  }
  const storeUrl = `${store.origin.origin}/v2/x/blobs/${digest}?X-Amz-Signature=planted`
  return { ...rig, store, storeUrl, redirectTo }
}

for (const status of [301, 302, 303, 307, 308]) {
  test(`case 35: a ${status} to the same host on another port is followed without Authorization or Cookie, and its address is not shown`, async (t) => {
    const { proxy, blob, blobPath, store, storeUrl, redirectTo } = await withStore(t, 'basic')
    redirectTo(storeUrl, status)
    const got = await proxy.get(blobPath, { headers: { range: 'bytes=10-19', cookie: 'a=b', 'accept-encoding': 'br' } })
    assert.deepEqual([got.status, got.headers['docker-content-digest']], [206, blob])
    assert.deepEqual(got.body, BLOB.subarray(10, 20))
    const { headers } = store.requests[0] ?? assert.fail()
    assert.deepEqual(
      [headers.authorization, headers.cookie, headers.range, headers['accept-encoding'], headers.host],
      [undefined, undefined, 'bytes=10-19', 'br', store.origin.host],
    )
    assert.doesNotMatch(JSON.stringify(got.headers), /planted|location/)
  })
}

test('case 36: a relative redirect is resolved at the registry, stays authorised there, and its body is streamed', async (t) => {
  const { registry, proxy, blob, blobPath } = await start(t, { auth: 'bearer' })
  registry.script = (request, response) => {
    if (!request.url?.startsWith('/v2/team/app/blobs/') || request.headers.authorization === undefined) return false
    if (request.url.endsWith('?part=1')) return false
    response.writeHead(302, { location: `../blobs/${blob}?part=1`, 'content-length': 0 }).end()
    return true
  }
  const got = await proxy.get(blobPath)
  assert.equal(digestOf(got.body), blob)
  assert.match(registry.requests.at(-1)?.headers.authorization ?? '', /^Bearer /)
})

const refused: [name: string, location: (port: number) => string, code: string][] = [
  ['a loop', () => `/v2/team/app/blobs/sha256:${'a'.repeat(64)}`, 'REDIRECT_REFUSED'],
  ['a file', () => 'file:///etc/passwd', 'REDIRECT_REFUSED'],
  ['a user in the URL', (port) => `http://u:p@127.0.0.1:${port}/x`, 'REDIRECT_REFUSED'],
  ['a private address', (port) => `http://127.0.0.2:${port}/x`, 'REDIRECT_REFUSED'],
  ['the metadata service', () => 'http://169.254.169.254/latest/meta-data', 'REDIRECT_REFUSED'],
  ['an address as a number', (port) => `http://2130706434:${port}/x`, 'REDIRECT_REFUSED'],
  ['a name that leads to a private address', (port) => `http://localhost:${port}/x`, 'ADDRESS_REFUSED'],
  ['an empty Location', () => '', 'REDIRECT_REFUSED'],
]
for (const [name, location, code] of refused) {
  test(`case 37: a redirect to ${name} is a 502 ${code}, and nothing goes there`, async (t) => {
    const { registry, proxy, blobPath, store, redirectTo } = await withStore(t, 'basic', { allowAddresses: [] })
    redirectTo(location(store.port))
    const got = await proxy.get(blobPath)
    assert.deepEqual([got.status, codeOf(got.body)], [502, code])
    assert.equal(store.requests.length, 0)
    assert.ok(registry.requests.length <= 8, `${registry.requests.length} requests`)
    assert.doesNotMatch(got.body.toString(), /passwd|meta-data|u:p/)
  })
}

test('case 37: twenty hops end at the sixth', async (t) => {
  const { registry, proxy, blobPath } = await start(t, { auth: 'none' })
  let hops = 0
  registry.script = (_request, response) => {
    hops += 1
    response.writeHead(302, { location: `/hop/${hops}`, 'content-length': 0 }).end()
    return true
  }
  const got = await proxy.get(blobPath)
  assert.deepEqual([got.status, codeOf(got.body), hops], [502, 'REDIRECT_REFUSED', 6])
})

test('case 37: a private store is followed if its address is listed', async (t) => {
  const { proxy, blob, blobPath, storeUrl, redirectTo } = await withStore(t, 'bearer', { allowAddresses: LOOPBACK })
  redirectTo(storeUrl)
  assert.equal(digestOf((await proxy.get(blobPath)).body), blob)
})

test('case 39: a HEAD that ECR Public answers with 401 is a ranged GET with the same token, and no second login', async (t) => {
  const { registry, proxy, blobPath } = await start(t, { auth: 'bearer' })
  registry.script = (request, response) => {
    if (request.method !== 'HEAD' || request.headers.authorization === undefined) return false
    response.writeHead(401, { 'www-authenticate': 'Bearer realm="x"', 'content-length': 0 }).end()
    return true
  }
  for (const requests of [4, 2]) {
    registry.requests.length = 0
    const got = await proxy.get(blobPath, { method: 'HEAD' })
    assert.deepEqual(
      [got.status, got.headers['content-length'], got.headers['content-range']],
      [200, String(BLOB.length), undefined],
    )
    assert.equal(registry.requests.length, requests)
    assert.equal(registry.requests.at(-1)?.headers.range, 'bytes=0-0')
  }
})

test('case 39: a HEAD that the signed URL refuses with 403 is a ranged GET there', async (t) => {
  const { proxy, blob, blobPath, store, storeUrl, redirectTo } = await withStore(t, 'basic')
  redirectTo(storeUrl)
  store.script = (request, response) => {
    if (request.method !== 'HEAD') return false
    response.writeHead(403, { 'content-length': 0 }).end()
    return true
  }
  const got = await proxy.get(blobPath, { method: 'HEAD' })
  assert.deepEqual(
    [got.status, got.headers['content-length'], got.headers['docker-content-digest']],
    [200, String(BLOB.length), blob],
  )
  assert.equal(store.requests.at(-1)?.headers.range, 'bytes=0-0')
})

test('case 39: a store that does not know ranges tells the size all the same', async (t) => {
  const { proxy, blobPath, store, storeUrl, redirectTo } = await withStore(t, 'basic')
  redirectTo(storeUrl)
  store.script = (request, response) => {
    if (request.method === 'HEAD') response.writeHead(403, { 'content-length': 0 }).end()
    else response.writeHead(200, { 'content-length': BLOB.length }).end(BLOB)
    return true
  }
  const got = await proxy.get(blobPath, { method: 'HEAD' })
  assert.deepEqual([got.status, got.headers['content-length']], [200, String(BLOB.length)])
})

test('a store that refuses an old signature sends us to the registry once more, for a new one', async (t) => {
  const { registry, proxy, blob, blobPath, store, storeUrl, redirectTo } = await withStore(t, 'basic')
  redirectTo(storeUrl)
  store.script = (_request, response) => {
    if (store.requests.length > 1) return false
    response.writeHead(403, { 'content-length': 0 }).end()
    return true
  }
  assert.equal(digestOf((await proxy.get(blobPath)).body), blob)
  assert.equal(registry.requests.filter(({ headers }) => headers.authorization !== undefined).length, 2)
})
