import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../../helpers/eventually.ts'
import { startFakeRegistry } from '../../helpers/fake-registry.ts'
import { listed } from '../../helpers/proxy.ts'
import { codeOf, MANIFEST, NAME, raw, start } from './kit.ts'

const PATH = '/v2/team/app/manifests/1'
const head = (target: string) => `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`
const status = (answer: string) => Number(answer.slice('HTTP/1.1 '.length, 'HTTP/1.1 '.length + 3))
const ociCode = (answer: string) => /"detail":\{"code":"([A-Z_]+)"/.exec(answer)?.[1]

test('case 1: without ns the default registry is asked, and is a 404 where it is not listed', async (t) => {
  const { registry, proxy } = await start(t, { auth: 'none' }, {}, ({ origin }) => [listed('docker.io', origin)])
  registry.addManifest('library/nginx', 'latest', { schemaVersion: 2 })
  const got = await proxy.get('/v2/library/nginx/manifests/latest')
  assert.deepEqual([got.status, got.headers['oci-namespace']], [200, 'docker.io'])
  const unlisted = await start(t, { auth: 'none' })
  const refused = await unlisted.proxy.get(PATH)
  assert.deepEqual([refused.status, codeOf(refused.body)], [404, 'REGISTRY_UNLISTED'])
  assert.equal(unlisted.registry.requests.length, 0)
})

const refused: [name: string, target: string, status: number, code: string | undefined][] = [
  ['case 2: ns twice', `${PATH}?ns=${NAME}&ns=${NAME}`, 400, 'NAMESPACE_INVALID'],
  ['case 3: an unlisted ns', `${PATH}?ns=other.example`, 404, 'REGISTRY_UNLISTED'],
  ['case 3: the metadata service as ns', `${PATH}?ns=169.254.169.254`, 404, 'REGISTRY_UNLISTED'],
  ['case 4: userinfo in ns', `${PATH}?ns=${NAME}@evil.com`, 400, 'NAMESPACE_INVALID'],
  ['case 4: an escaped fragment in ns', `${PATH}?ns=${NAME}%23x`, 400, 'NAMESPACE_INVALID'],
  ['case 4: a bare fragment after ns', `${PATH}?ns=${NAME}#x`, 400, 'NAMESPACE_INVALID'],
  ['case 4: CRLF in ns', `${PATH}?ns=${NAME}%0d%0aX:%20y`, 400, 'NAMESPACE_INVALID'],
  ['case 8: an absolute-form target', `http://127.0.0.1${MANIFEST}`, 400, 'REQUEST_MALFORMED'],
  ['case 9: a target that begins with //', `//evil${MANIFEST}`, 400, 'REQUEST_MALFORMED'],
  ['case 10: dot segments', `/v2/a/../../x?ns=${NAME}`, 400, 'REQUEST_MALFORMED'],
  ['case 10: escaped dot segments', `/v2/team/%2e%2e/app/manifests/1?ns=${NAME}`, 400, 'REQUEST_MALFORMED'],
  ['case 10: an escaped slash', `/v2/team%2fapp/manifests/1?ns=${NAME}`, 400, 'REQUEST_MALFORMED'],
  ['case 10: a backslash', `/v2/team\\app/manifests/1?ns=${NAME}`, 400, 'REQUEST_MALFORMED'],
  ['case 10: an escaped NUL', `/v2/team/a%00pp/manifests/1?ns=${NAME}`, 400, 'REQUEST_MALFORMED'],
  // Node's parser answers this one, with no body.
  ['case 10: a NUL', `/v2/team/a\0pp/manifests/1?ns=${NAME}`, 400, undefined],
  [
    'case 12: a digest that is cut off',
    `/v2/team/app/manifests/sha256:${'a'.repeat(63)}?ns=${NAME}`,
    400,
    'DIGEST_INVALID',
  ],
  ['case 12: a digest in upper case', `/v2/team/app/blobs/sha256:${'A'.repeat(64)}?ns=${NAME}`, 400, 'DIGEST_INVALID'],
  [
    'case 12: a digest of an unknown kind',
    `/v2/team/app/blobs/md5:${'a'.repeat(32)}?ns=${NAME}`,
    400,
    'DIGEST_INVALID',
  ],
]
for (const [name, target, expected, code] of refused) {
  test(`${name} is a ${expected}, and nothing goes out`, async (t) => {
    const { registry, proxy } = await start(t, { auth: 'none' })
    const { answer } = await raw(proxy.port, head(target))
    assert.deepEqual([status(answer), ociCode(answer)], [expected, code])
    assert.equal(await registry.openConnections(), 0)
  })
}

const spellings: [name: string, listedAs: string, ns: string][] = [
  ['case 5: upper case, a trailing dot and the default port', 'reg.example.com', 'REG.example.com.:443'],
  ['case 6: index.docker.io', 'docker.io', 'index.docker.io'],
  ['case 6: registry-1.docker.io', 'docker.io', 'registry-1.docker.io'],
]
for (const [name, listedAs, ns] of spellings) {
  test(`${name} is the entry ${listedAs}`, async (t) => {
    const { proxy } = await start(t, { auth: 'none' }, {}, ({ origin }) => [listed(listedAs, origin)])
    const got = await proxy.get(`${PATH}?ns=${ns}`)
    assert.deepEqual([got.status, got.headers['oci-namespace']], [200, listedAs])
  })
}

test('case 7: an escaped port is a part of the registry’s name, and never gets the credential of the same host without it', async (t) => {
  const other = await startFakeRegistry({ auth: 'basic', password: 'of-5000' })
  t.after(() => other.close())
  other.addManifest('team/app', '1', { schemaVersion: 2 })
  const { registry, proxy } = await start(t, { auth: 'basic' }, {}, () => [listed(`${NAME}:5000`, other.origin)])
  assert.equal((await proxy.get(`${PATH}?ns=${NAME}%3A5000`)).status, 403)
  assert.equal(other.requests.filter(({ headers }) => headers.authorization !== undefined).length, 0)
  proxy.setCredential(`${NAME}:5000`, { current: 'of-5000' })
  assert.equal((await proxy.get(`${PATH}?ns=${NAME}%3A5000`)).status, 200)
  assert.equal(registry.requests.length, 0)
})

test('case 11: a repository called manifests/blobs is read from the right', async (t) => {
  const { registry, proxy, blob } = await start(t, { auth: 'none' })
  registry.addManifest('manifests/blobs', 'tags', { schemaVersion: 2 })
  assert.equal((await proxy.get(`/v2/manifests/blobs/manifests/tags?ns=${NAME}`)).status, 200)
  assert.equal((await proxy.get(`/v2/manifests/blobs/blobs/${blob}?ns=${NAME}`)).status, 200)
  assert.equal(
    (await proxy.get(`/v2/manifests/blobs/tags/list?ns=${NAME}`)).body.toString(),
    '{"name":"manifests/blobs","tags":["tags"]}',
  )
  assert.equal(proxy.ended[0]?.exchange.pull?.repository, 'manifests/blobs')
})

for (const named of ['ns', 'prefix'] as const) {
  test(`a list in pages is read to its end by ${named}`, async (t) => {
    const { registry, proxy } = await start(t, { auth: 'bearer' })
    for (const tag of ['2', '3', '4', '5']) registry.addManifest('team/app', tag, { schemaVersion: 2 })
    let path: string | undefined =
      named === 'ns' ? `/v2/team/app/tags/list?n=2&ns=${NAME}` : `/v2/${NAME}/team/app/tags/list?n=2`
    const tags: string[] = []
    for (let page = 0; path !== undefined && page < 10; page++) {
      const got = await proxy.get(path)
      assert.equal(got.status, 200)
      tags.push(...JSON.parse(got.body.toString()).tags)
      path = /^<([^>]+)>; rel="next"$/.exec(String(got.headers['link'] ?? ''))?.[1]
    }
    assert.deepEqual(tags, ['1', '2', '3', '4', '5'])
    await eventually('all have ended', () => proxy.ended.length === 3)
  })
}
